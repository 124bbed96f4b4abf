package tollgate.clients;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.math.BigDecimal;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Adds up Tollgate's ledger: what there is to pay, by month, market, category and currency. */
public final class Bill {
    private static final String USAGE = """
            Bill --bootstrap HOST:PORT [OPTION...]
              --bootstrap HOST:PORT  Kafka's brokers
              --registry URL         schema registry; needed if Tollgate writes with one
              --until-end            stop at the end of the partitions, not at Ctrl-C
              --until-idle SECONDS   stop when no line came for so long
              --json                 print the totals as one line of JSON
              --billing TOPIC        the ledger (default: wa.billing)
              -X NAME=VALUE          a setting of Kafka's clients (repeatable)""";

    /** What is added up by. Parts that are not known are null. */
    record Key(String period, String market, String category, String currency, String unit) implements Comparable<Key> {
        private static final Comparator<String> TEXT = Comparator.nullsFirst(Comparator.naturalOrder());
        private static final Comparator<Key> ORDER = Comparator.comparing(Key::period, TEXT).thenComparing(Key::market, TEXT)
                .thenComparing(Key::category, TEXT).thenComparing(Key::currency, TEXT).thenComparing(Key::unit, TEXT);

        @Override
        public int compareTo(Key other) {
            return ORDER.compare(this, other);
        }
    }

    /** `unknown` counts messages without a known price: they are in no amount, and they are not free. */
    record Total(long quantity, long free, long unknown, BigDecimal amount) {
        static final Total NOTHING = new Total(0, 0, 0, null);

        Total plus(long more, boolean isFree, BigDecimal price) {
            if (price == null) {
                return new Total(quantity + more, free, unknown + more, amount);
            }
            // Decimal, never double: 0.1 + 0.2 is not 0.3 there.
            BigDecimal sum = amount == null ? price : amount.add(price);
            return new Total(quantity + more, isFree ? free + more : free, unknown, sum);
        }

        boolean isNothing() {
            return quantity == 0 && unknown == 0 && (amount == null || amount.signum() == 0);
        }
    }

    // Ids of the lines that were added. A service keeps them, its totals and its offsets in one database transaction.
    private final Set<String> seen = new HashSet<>();
    private final TreeMap<Key, Total> totals = new TreeMap<>();
    private int duplicates;
    private int reversals;

    void add(GenericRecord line) {
        if (!seen.add(((GenericRecord) line.get("envelope")).get("id").toString())) {
            duplicates++;
            return;
        }
        if (line.get("entry_type").toString().equals("REVERSAL")) {
            reversals++;
        }
        // Quantities and amounts are signed, and a REVERSAL repeats market, category and price of the line that it takes
        // back. So all lines are added, whatever their type, and nothing is ever looked up or deleted.
        var key = new Key(text(line, "billing_period"), text(line, "market"), text(line, "category"), text(line, "currency"), text(line, "unit"));
        String amount = text(line, "amount");
        totals.put(key, totals.getOrDefault(key, Total.NOTHING).plus((Long) line.get("quantity"),
                line.get("free_reason") != null, amount == null ? null : new BigDecimal(amount)));
    }

    /** Avro's strings are CharSequences, and no Strings. */
    private static String text(GenericRecord record, String field) {
        Object value = record.get(field);
        return value == null ? null : value.toString();
    }

    TreeMap<String, BigDecimal> toPay() {
        var sums = new TreeMap<String, BigDecimal>();
        totals.forEach((key, total) -> {
            if (total.amount() != null && total.amount().signum() != 0) {
                sums.merge(key.currency() == null ? "?" : key.currency(), total.amount(), BigDecimal::add);
            }
        });
        return sums;
    }

    /** Totals in order, without those whose lines took each other back entirely. */
    JsonNode json() {
        ObjectNode bill = new ObjectMapper().createObjectNode();
        bill.put("lines", seen.size()).put("duplicates", duplicates).put("reversals", reversals);
        var rows = bill.putArray("rows");
        totals.forEach((key, total) -> {
            if (!total.isNothing()) {
                rows.addObject().put("period", key.period()).put("market", key.market()).put("category", key.category())
                        .put("currency", key.currency()).put("unit", key.unit()).put("quantity", total.quantity())
                        .put("free", total.free()).put("unknown", total.unknown())
                        .put("amount", total.amount() == null ? null : total.amount().toPlainString());
            }
        });
        var pay = bill.putObject("to_pay");
        toPay().forEach((currency, amount) -> pay.put(currency, amount.toPlainString()));
        return bill;
    }

    private void print() {
        String row = "%-8s %-24s %-28s %-8s %9s %9s %9s %14s %s%n";
        System.out.printf(row, "Period", "Market", "Category", "Unit", "Quantity", "Free", "No price", "Amount", "");
        for (JsonNode total : json().get("rows")) {
            System.out.printf(row, List.of("period", "market", "category", "unit", "quantity", "free", "unknown", "amount", "currency")
                    .stream().map(name -> total.get(name).asText("?")).toArray());
        }
        toPay().forEach((currency, amount) -> System.out.printf("To pay: %s %s%n", amount.toPlainString(), currency));
        long unknown = totals.values().stream().mapToLong(Total::unknown).sum();
        if (unknown != 0) {
            System.out.printf("Without a known price, and in no amount: %d%n", unknown);
        }
        System.out.printf("%d lines, %d of them reversals; %d repeats left out%n", seen.size(), reversals, duplicates);
    }

    private void read(Options options) throws Exception {
        String topic = options.get("billing", "wa.billing");
        var frames = Frames.of("billing_entry.avsc", topic, options.get("registry"));
        var idle = Duration.ofMillis((long) (Double.parseDouble(options.get("until-idle", "0")) * 1000)).toNanos();
        try (var consumer = new KafkaConsumer<>(options.kafka(Map.of(
                // Lines are written in transactions. By default this client would also read those that are rolled back, and
                // they must not be paid.
                "isolation.level", "read_committed",
                // No group is joined: the ledger is read from its first line on every run.
                "enable.auto.commit", false)), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup(); // At Ctrl-C, the one thing that may be called from another thread.
                try {
                    main.join();
                } catch (InterruptedException ignored) {
                    // Then the totals are not printed.
                }
            }));
            List<TopicPartition> partitions = Options.partitions(consumer, topic);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            // With read_committed the end is the first offset that is not decided yet.
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            long last = System.nanoTime();
            while (!options.has("until-end") || partitions.stream().anyMatch(at -> consumer.position(at) < ends.get(at))) {
                if (idle > 0 && System.nanoTime() - last >= idle) {
                    return;
                }
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    add(frames.read(record.value()));
                }
                last = records.isEmpty() ? last : System.nanoTime();
            }
        } catch (WakeupException stopped) {
            // Ctrl-C: what was read is printed.
        }
    }

    public static void main(String[] args) throws Exception {
        var options = Options.parse(args, USAGE, Set.of("bootstrap", "registry", "until-idle", "billing"),
                Set.of("until-end", "json"), Set.of("bootstrap"));
        var bill = new Bill();
        try {
            bill.read(options);
        } catch (KafkaException | IOException error) {
            System.err.println("bill: " + error.getMessage());
            Runtime.getRuntime().halt(1); // exit() would wait for the hook, which waits for this thread.
        }
        if (options.has("json")) {
            System.out.println(bill.json());
        } else {
            bill.print();
        }
    }
}
