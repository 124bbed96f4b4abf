package tollgate.peer;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.LongAdder;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.util.Utf8;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import tollgate.peer.avro.Id;
import tollgate.peer.avro.Output;
import tollgate.peer.avro.State;
import tollgate.v1.Event;
import tollgate.v1.Person;

/**
 * An event: decode it, read what is remembered of its contact, change that, write it, and tell the world.
 *
 * <p>Keys and values are bytes up to here, so that one thread's codecs and records can be used again and again; serdes
 * are shared by the threads.
 */
final class Fold implements Processor<byte[], byte[], byte[], byte[]> {
    static final String STORE = "contacts";

    /** What the fields of {@link State} take when all of them are in use, with the length of its {@code rest}. */
    static final int LEAST_STATE_BYTES = 5 * 6 + 1 + 7 + 1;

    /** Enough for the fields of {@link Output} and its framing. */
    static final int LEAST_OUTPUT_BYTES = 160;

    private static final byte[] NO_KEY = new byte[15];
    private static final long DAY = 86_400_000;
    private static final Utf8 SOURCE = new Utf8("tollgate");
    private static final Utf8 NOBODY = new Utf8("");

    private final List<Options.Sink> sinks;
    private final Utf8[] types;
    private final int stateRest;
    private final LongAdder processed;
    private final LongAdder written;

    private final Codec<Event> events;
    private final Codec<State> states;
    private final Codec<Output> outputs;
    private final Output output = new Output();
    private final ByteBuffer id;
    private final byte[] filling = new byte[1 << 16];

    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> store;

    Fold(Options options, LongAdder processed, LongAdder written) {
        sinks = options.sinks;
        types = sinks.stream().map(sink -> new Utf8(sink.topic())).toArray(Utf8[]::new);
        stateRest = options.stateBytes - LEAST_STATE_BYTES;
        this.processed = processed;
        this.written = written;
        var model = new SpecificData();
        model.setCustomCoders(true);
        events = new Codec<>(new Event(), model);
        states = new Codec<>(new State(), model);
        outputs = new Codec<>(new Output(), model);
        output.setId(new Id());
        output.setSource(SOURCE);
        id = ByteBuffer.wrap(output.getId().bytes());
        // Bytes that no compression, should somebody switch one on, makes small.
        new Random(1).nextBytes(filling);
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        var event = events.decodeFramed(record.value());
        var contact = contact(event);
        var key = Bytes.wrap(key(event.getPhoneNumberId(), contact));
        var row = store.get(key);
        var state = row == null ? first(event) : states.decode(row);
        apply(state, event);
        store.put(key, states.encode(state));
        tell(record, event, contact, state);
        processed.increment();
    }

    private static Utf8 contact(Event event) {
        Person person = event.getContact();
        if (person != null) {
            return person.getWaId() != null ? person.getWaId() : person.getUserId();
        }
        return event.getGroupId() != null ? event.getGroupId() : NOBODY;
    }

    private static byte[] key(Utf8 number, Utf8 contact) {
        int length = number.getByteLength();
        var key = new byte[length + 1 + contact.getByteLength()];
        System.arraycopy(number.getBytes(), 0, key, 0, length);
        key[length] = '/';
        System.arraycopy(contact.getBytes(), 0, key, length + 1, contact.getByteLength());
        return key;
    }

    private State first(Event event) {
        long at = event.getOccurredAt();
        return new State(at, at, at, at, at, false, 0, 0, 0, 0, 0, 0, 0, ByteBuffer.wrap(filling, 0, stateRest));
    }

    /** Not Tollgate's rules: enough of a change that reading and writing is for a reason. */
    private static void apply(State state, Event event) {
        long at = event.getOccurredAt();
        state.setEvents(state.getEvents() + 1);
        if (event.getMessage() != null) {
            state.setInbound(state.getInbound() + 1);
            state.setLastInboundAt(Math.max(state.getLastInboundAt(), at));
            state.setWindowUntil(Math.max(state.getWindowUntil(), at + DAY));
        } else if (event.getSendRequested() != null) {
            state.setAsked(state.getAsked() + 1);
        } else if (event.getSendAccepted() != null) {
            state.setAccepted(state.getAccepted() + 1);
            state.setLastOutboundAt(Math.max(state.getLastOutboundAt(), at));
        } else if (event.getStatus() != null) {
            state.setLastStatusAt(Math.max(state.getLastStatusAt(), at));
            var status = event.getStatus();
            if (!status.getErrors().isEmpty()) {
                state.setFailed(state.getFailed() + 1);
            } else if (status.getPricing() != null) {
                state.setDelivered(state.getDelivered() + 1);
                if (Boolean.TRUE.equals(status.getPricing().getBillable())) {
                    state.setCharged(state.getCharged() + 1);
                }
            }
        } else if (event.getPreference() != null) {
            state.setOptedOut("stop".contentEquals(event.getPreference().getValue()));
        }
    }

    /**
     * Sends as many outputs as are due. What is due follows from the event's offset alone, so it is the same however
     * often the event is processed, and the mean is met exactly on every partition.
     */
    private void tell(Record<byte[], byte[]> record, Event event, Utf8 contact, State state) {
        var place = context.recordMetadata().orElseThrow();
        long offset = place.offset();
        // Heartbeats have no key, and a compacted topic takes no record without one.
        var keyed = record.key() == null ? record.withKey(NO_KEY) : record;
        for (int i = 0; i < types.length; i++) {
            var sink = sinks.get(i);
            long rate = sink.millionthsPerEvent();
            long due = (offset + 1) * rate / 1_000_000 - offset * rate / 1_000_000;
            for (long n = 0; n < due; n++) {
                id.putShort(0, (short) place.partition()).putShort(2, (short) i).putInt(4, (int) n).putLong(8, offset);
                output.setType(types[i]);
                output.setTime(event.getOccurredAt());
                output.setPhoneNumberId(event.getPhoneNumberId());
                output.setContact(contact);
                output.setKind(event.getKind());
                output.setWindowUntil(state.getWindowUntil());
                output.setEvents(state.getEvents());
                output.setRest(ByteBuffer.wrap(filling, 0, rest(sink.bytes(), state.getEvents())));
                // Topics are their sinks' names.
                context.forward(keyed.withValue(outputs.encodeFramed(output)), sink.topic());
                written.increment();
            }
        }
    }

    /** How long the last field must be for the output to have the size that was asked for. */
    private int rest(int bytes, int events) {
        int strings = output.getSource().getByteLength() + output.getType().getByteLength()
            + output.getPhoneNumberId().getByteLength() + output.getContact().getByteLength()
            + output.getKind().getByteLength() + 5;
        int left = bytes - Codec.HEADER - 16 - strings - 2 * 6 - (events < 64 ? 1 : events < 8192 ? 2 : 3);
        return Math.max(0, Math.min(filling.length, left - (left <= 64 ? 1 : 2)));
    }
}
