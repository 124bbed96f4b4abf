package tollgate.clients;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.avro.message.MissingSchemaException;

/**
 * Tollgate's framings: a value begins with 00 and a registry's id, or with C3 01 and a fingerprint. With a registry
 * values are written for it, without one in Avro's single-object encoding; both are read, whichever is written.
 *
 * <p>The registry is called directly, because Confluent's serializers are not on Maven Central. Whoever has their
 * repository uses KafkaAvroSerializer and KafkaAvroDeserializer instead: the bytes are the same.
 */
final class Frames {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String SCHEMA_TYPE = "application/vnd.schemaregistry.v1+json";

    private final String text;
    private final Schema schema;
    private final String subject;
    private final String registry;
    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
    private final BinaryMessageEncoder<GenericRecord> encoder;
    private final BinaryMessageDecoder<GenericRecord> decoder;
    private final Map<Integer, Schema> writers = new HashMap<>();
    private Integer id;

    /** For a schema file of the contract, such as event.avsc. {@code registry} may be null. */
    static Frames of(String file, String topic, String registry) throws IOException {
        try (InputStream in = Frames.class.getResourceAsStream("/schemas/" + file)) {
            return new Frames(new String(in.readAllBytes(), StandardCharsets.UTF_8), topic, registry);
        }
    }

    Frames(String text, String topic, String registry) {
        this.text = text;
        this.schema = new Schema.Parser().parse(text);
        this.subject = topic + "-value";
        this.registry = registry;
        this.encoder = new BinaryMessageEncoder<>(GenericData.get(), schema);
        this.decoder = new BinaryMessageDecoder<>(GenericData.get(), schema);
    }

    Schema schema() {
        return schema;
    }

    /**
     * Learns a schema that records were written with before: after an upgrade of Tollgate the topics still hold some.
     * (A registry tells the schemas itself.)
     */
    void learn(Schema older) {
        decoder.addSchema(older);
    }

    byte[] write(GenericRecord record) throws IOException, InterruptedException {
        if (registry == null) {
            ByteBuffer framed = encoder.encode(record);
            byte[] bytes = new byte[framed.remaining()];
            framed.get(bytes);
            return bytes;
        }
        if (id == null) {
            // Registers the schema, or finds the id of the same one. Where only operators may register, POST to
            // /subjects/<subject> instead: that only looks it up.
            String body = JSON.writeValueAsString(Map.of("schema", text));
            String name = URLEncoder.encode(subject, StandardCharsets.UTF_8);
            id = call("/subjects/" + name + "/versions", body).get("id").intValue();
        }
        var out = new ByteArrayOutputStream();
        out.write(ByteBuffer.allocate(5).put((byte) 0).putInt(id).array());
        var binary = EncoderFactory.get().directBinaryEncoder(out, null);
        new GenericDatumWriter<GenericRecord>(schema).write(record, binary);
        return out.toByteArray();
    }

    GenericRecord read(byte[] value) throws IOException, InterruptedException {
        if (value.length < 5 || value[0] != 0) {
            try {
                return decoder.decode(value);
            } catch (MissingSchemaException error) {
                throw new IOException(error.getMessage() + ": the value was written with another version of the schema; learn() it");
            }
        }
        if (registry == null) {
            throw new IOException("the value is framed for a schema registry: pass --registry URL");
        }
        int writerId = ByteBuffer.wrap(value, 1, 4).getInt();
        Schema writer = writers.get(writerId);
        if (writer == null) {
            JsonNode found = call("/schemas/ids/" + writerId, null);
            writer = new Schema.Parser().parse(found.get("schema").textValue());
            writers.put(writerId, writer);
        }
        var binary = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null);
        return new GenericDatumReader<GenericRecord>(writer, schema).read(null, binary);
    }

    private JsonNode call(String path, String body) throws IOException, InterruptedException {
        var request = HttpRequest.newBuilder(URI.create(registry.replaceAll("/+$", "") + path))
                .timeout(Duration.ofSeconds(10))
                .header("Accept", SCHEMA_TYPE);
        if (body != null) {
            request.header("Content-Type", SCHEMA_TYPE).POST(BodyPublishers.ofString(body));
        }
        HttpResponse<String> answer;
        try {
            answer = http.send(request.build(), BodyHandlers.ofString());
        } catch (IOException error) { // Which may have no message of its own.
            throw new IOException("registry " + registry + ": " + error, error);
        }
        if (answer.statusCode() != 200) {
            throw new IOException("registry " + registry + path + ": " + answer.statusCode() + " " + answer.body());
        }
        return JSON.readTree(answer.body());
    }

    /** The record as Tollgate's JSON has it: plain values, nulls left out. */
    static JsonNode json(GenericRecord record) throws IOException {
        return withoutNulls(JSON.readTree(record.toString()));
    }

    private static JsonNode withoutNulls(JsonNode node) {
        node.forEach(Frames::withoutNulls);
        if (node instanceof ObjectNode object) {
            object.properties().removeIf(field -> field.getValue().isNull());
        }
        return node;
    }
}
