package tollgate.clients;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Asks Tollgate whether a message may be sent now, and waits for the verdict. */
public final class Ask {
    private static final String USAGE = """
            Ask --bootstrap HOST:PORT --number ID --to ID [OPTION...]
              --bootstrap HOST:PORT  Kafka's brokers
              --number ID            phone_number_id of the business number that sends
              --to ID                the person: phone number (digits) or scoped id
              --template NAME        ask about this template; without it about free-form text
              --language CODE        the template's language, such as en_US
              --category NAME        the category you believe it has; Tollgate's record outranks it
              --at TIME              answer for then: 2026-12-01T09:00:00Z
              --request-id ID        your id of the send (default: a new one)
              --registry URL         schema registry; without it single-object encoding
              --timeout SECONDS      how long to wait (default: 10)
              --json                 print the verdict record as one line of JSON
              --events TOPIC         where asks go (default: wa.events)
              --verdicts TOPIC       where they are answered (default: wa.verdicts)
              -X NAME=VALUE          a setting of Kafka's clients (repeatable)
            exit code: 0 allowed, 10 blocked, 11 unknown, 12 no verdict in time, 1 an error, 2 wrong options""";
    private static final Set<String> VALUED = Set.of("bootstrap", "number", "to", "template", "language", "category",
            "at", "request-id", "registry", "timeout", "events", "verdicts");

    private final Options options;
    private final String number;
    private final String requestId;
    private final Duration timeout;
    private final String eventTopic;
    private final String verdictTopic;

    Ask(Options options) {
        this.options = options;
        number = options.get("number");
        requestId = options.get("request-id", UUID.randomUUID().toString());
        timeout = Duration.ofMillis((long) (Double.parseDouble(options.get("timeout", "10")) * 1000));
        eventTopic = options.get("events", "wa.events");
        verdictTopic = options.get("verdicts", "wa.verdicts");
    }

    public static void main(String[] args) throws Exception {
        var options = Options.parse(args, USAGE, VALUED, Set.of("json"), Set.of("bootstrap", "number", "to"));
        if (options.has("template") != options.has("language")) {
            System.err.println("--template and --language belong together");
            System.exit(2);
        }
        try {
            var ask = new Ask(options);
            System.exit(ask.report(ask.ask()));
        } catch (KafkaException | ExecutionException | IOException | NumberFormatException | DateTimeException error) {
            System.err.println("ask: " + error.getMessage());
            System.exit(1);
        }
    }

    /** The verdict, or null if none came in time. */
    private JsonNode ask() throws Exception {
        var events = Frames.of("event.avsc", eventTopic, options.get("registry"));
        var verdicts = Frames.of("verdict.avsc", verdictTopic, options.get("registry"));
        try (var consumer = new KafkaConsumer<>(options.kafka(Map.of(
                // Verdicts are written in transactions. By default this client would also read those that are rolled back.
                "isolation.level", "read_committed",
                "enable.auto.commit", false)), new StringDeserializer(), new ByteArrayDeserializer())) {
            // Stand at the end first and ask then: the other way round the answer may be missed. A program that asks
            // often keeps consumer and producer open and matches many answers by request id.
            List<TopicPartition> partitions = Options.partitions(consumer, verdictTopic);
            consumer.assign(partitions);
            // The offsets themselves: seekToEnd would look them up later, perhaps when the verdict is already there.
            consumer.endOffsets(partitions).forEach(consumer::seek);
            send(events.write(event(events.schema(), Instant.now())));
            Instant deadline = Instant.now().plus(timeout);
            while (Instant.now().isBefore(deadline)) {
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.between(Instant.now(), deadline))) {
                    if (!number.equals(record.key())) { // Another number's; request ids are unique within one.
                        continue;
                    }
                    JsonNode verdict = Frames.json(verdicts.read(record.value()));
                    if (verdict.get("request_id").textValue().equals(requestId)) {
                        return verdict;
                    }
                }
            }
            return null;
        }
    }

    private void send(byte[] value) throws Exception {
        // The Java client's default partitioner is the one that Tollgate expects. Set no other, and no
        // partitioner.ignore.keys: an ask on the wrong partition becomes a dead letter `wrong_partition`.
        try (var producer = new KafkaProducer<>(options.kafka(Map.of("acks", "all")), new StringSerializer(), new ByteArraySerializer())) {
            producer.send(new ProducerRecord<>(eventTopic, number, value)).get(timeout.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException error) {
            throw new KafkaException("the ask did not reach " + eventTopic + " in " + timeout.toSeconds() + " s; it may still arrive");
        }
    }

    /** The record to send. Fields that are not set are null or have defaults in the schema. */
    GenericRecord event(Schema schema, Instant now) {
        String person = options.get("to").replaceFirst("^\\+", "");
        // A scoped id has a dot in it (`BR.1234`), a phone number has digits only.
        var contact = new GenericRecordBuilder(section(schema, "contact"))
                .set(person.contains(".") ? "user_id" : "wa_id", person).build();
        Schema asked = section(schema, "send_requested");
        Schema contentSchema = asked.getField("content").schema();
        var content = new GenericRecordBuilder(contentSchema).set("kind", options.has("template") ? "template" : "freeform");
        if (options.has("template")) {
            content.set("template", new GenericRecordBuilder(section(contentSchema, "template"))
                    .set("name", options.get("template")).set("language", options.get("language"))
                    .set("category", options.get("category")).build());
        }
        Long at = options.has("at") ? OffsetDateTime.parse(options.get("at")).toInstant().toEpochMilli() : null;
        return new GenericRecordBuilder(schema)
                .set("kind", "send_requested")
                .set("phone_number_id", number)
                .set("occurred_at", now.toEpochMilli())
                .set("contact", contact)
                .set("send_requested", new GenericRecordBuilder(asked).set("request_id", requestId)
                        .set("content", content.build()).set("evaluate_for", at).build())
                .build();
    }

    /** The record within a field's union with null. */
    private static Schema section(Schema schema, String field) {
        return schema.getField(field).schema().getTypes().get(1);
    }

    private int report(JsonNode verdict) {
        if (verdict == null) {
            // Asking again with the same id would get no answer: a repeat of an ask that is held is ignored.
            System.err.printf("No verdict on %s in %d s. That is neither yes nor no. Is Tollgate running, and near the end "
                    + "of %s? Is the ask in wa.dead-letters? Ask again with a new request id.%n", requestId, timeout.toSeconds(), eventTopic);
            if (options.has("json")) {
                System.out.printf("{\"request_id\":\"%s\",\"error\":\"no_verdict_in_time\"}%n", requestId);
            }
            return 12;
        }
        if (options.has("json")) {
            System.out.println(verdict);
        } else {
            show(verdict);
        }
        return switch (verdict.get("verdict").textValue()) {
            case "allowed" -> 0;
            case "blocked" -> 10;
            default -> 11; // The set is open: what this program does not know is taken for unknown.
        };
    }

    private static void show(JsonNode verdict) {
        var time = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss 'UTC'").withZone(ZoneOffset.UTC);
        JsonNode until = verdict.get("valid_until");
        System.out.printf("%s: %s%s%n", verdict.get("verdict").textValue(), verdict.get("reason").textValue(),
                verdict.get("enforced").booleanValue() ? "" : " (observed only)");
        System.out.printf("  until    %s%n", until == null ? "no end known" : time.format(Instant.ofEpochMilli(until.longValue())));
        System.out.printf("  price    %s%n", price(verdict.path("price")));
        for (JsonNode warning : verdict.get("warnings")) {
            System.out.printf("  warning  %s%n", warning.get("code").textValue());
        }
        for (JsonNode other : verdict.get("alternatives")) {
            String category = other.has("category") ? other.get("category").textValue() + " " : "";
            System.out.printf("  instead  %s%s: %s%n", category, other.get("message_kind").textValue(), price(other.get("price")));
        }
    }

    /** What it would cost. Unknown is never free: look at `chargeable`, not at a price that is absent. */
    static String price(JsonNode price) {
        if (!price.has("chargeable")) {
            return "unknown (" + price.path("unknown_reason").asText("not told") + ")";
        }
        if (!price.get("chargeable").booleanValue()) {
            JsonNode allowance = price.get("allowance");
            String used = allowance == null ? "" : ", %d of %d used in %s".formatted(allowance.get("used_before").intValue(),
                    allowance.get("limit").intValue(), allowance.get("period").textValue());
            return "free (" + price.path("free_reason").asText("no reason") + used + ")";
        }
        String about = price.path("category").asText("?") + ", " + price.path("market").asText("?");
        if (!price.has("unit_price")) {
            return "charged, how much is unknown (" + price.path("unknown_reason").asText("not told") + "), " + about;
        }
        return price.get("unit_price").textValue() + " " + price.get("currency").textValue() + ", " + about;
    }
}
