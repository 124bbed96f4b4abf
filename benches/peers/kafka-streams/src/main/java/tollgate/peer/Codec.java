package tollgate.peer;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.avro.util.ClassSecurityValidator;

/**
 * One kind of record to and from bytes. The writer's schema is known to be the reader's, so nothing is resolved or
 * looked up per record, and decoder, encoder and the record itself are used again. For one thread.
 */
final class Codec<T extends SpecificRecordBase> {
    /** {@code C3 01} and the schema's fingerprint. */
    static final int HEADER = 10;

    static {
        // Avro makes records only of classes that it was told to trust.
        ClassSecurityValidator.setGlobal(ClassSecurityValidator.composite(
            ClassSecurityValidator.DEFAULT, type -> type.getName().startsWith("tollgate.")));
    }

    private final byte[] header;
    private final SpecificDatumReader<T> reader;
    private final SpecificDatumWriter<T> writer;
    private final Buffer buffer = new Buffer();
    private final T record;
    private BinaryDecoder decoder;
    private BinaryEncoder encoder;

    Codec(T record, SpecificData model) {
        this.record = record;
        var schema = record.getSchema();
        reader = new SpecificDatumReader<>(schema, schema, model);
        writer = new SpecificDatumWriter<>(schema, model);
        header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN)
            .put((byte) 0xC3).put((byte) 0x01).putLong(SchemaNormalization.parsingFingerprint64(schema)).array();
    }

    /** A record in single-object framing. It is overwritten by the next one. */
    T decodeFramed(byte[] bytes) {
        if (!Arrays.equals(bytes, 0, Math.min(HEADER, bytes.length), header, 0, HEADER)) {
            throw new IllegalArgumentException("not a single-object record of " + record.getSchema().getFullName());
        }
        return decode(bytes, HEADER);
    }

    /** A bare record. It is overwritten by the next one. */
    T decode(byte[] bytes) {
        return decode(bytes, 0);
    }

    private T decode(byte[] bytes, int from) {
        decoder = DecoderFactory.get().binaryDecoder(bytes, from, bytes.length - from, decoder);
        try {
            return reader.read(record, decoder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    byte[] encodeFramed(T value) {
        return encode(value, header, HEADER);
    }

    byte[] encode(T value) {
        return encode(value, header, 0);
    }

    private byte[] encode(T value, byte[] before, int length) {
        try {
            buffer.length = 0;
            buffer.write(before, 0, length);
            encoder = EncoderFactory.get().directBinaryEncoder(buffer, encoder);
            writer.write(value, encoder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Arrays.copyOf(buffer.bytes, buffer.length);
    }

    /** A {@link java.io.ByteArrayOutputStream} without its locks. */
    private static final class Buffer extends OutputStream {
        private byte[] bytes = new byte[1024];
        private int length;

        @Override
        public void write(int value) {
            grow(1);
            bytes[length++] = (byte) value;
        }

        @Override
        public void write(byte[] from, int offset, int count) {
            grow(count);
            System.arraycopy(from, offset, bytes, length, count);
            length += count;
        }

        private void grow(int by) {
            if (length + by > bytes.length) {
                bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, length + by));
            }
        }
    }
}
