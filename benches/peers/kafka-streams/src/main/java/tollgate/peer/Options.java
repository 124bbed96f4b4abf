package tollgate.peer;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;

/** What may be typed. A mistake says which option it is about and what would be right. */
final class Options {
    /**
     * What Tollgate writes for an event of {@code tollgate loadgen}, topic by topic: records per event, and bytes per
     * record with its framing.
     */
    private static final String WHAT_TOLLGATE_WRITES =
        "wa.verdicts:0.197:770,wa.windows:0.476:358,wa.window-state:0.475:249,"
            + "wa.outcomes:0.306:303,wa.billing:0.128:586";

    static final String HELP = """
        Usage: run.sh [OPTIONS]
          --bootstrap HOST:PORT    the broker [127.0.0.1:9092]
          --in TOPIC               events, keyed by phone_number_id [wa.events]
          --out TOPIC[:N:BYTES],…  where outputs go; N of BYTES per event, or an equal share of the next two options
                                   [what Tollgate writes for an event of its load generator]
          --outputs N              mean number of outputs per event [1.58]
          --output-bytes BYTES     bytes of each output, with its framing [385]
          --state-bytes BYTES      bytes of what is remembered of a contact, without its key [84]
          --threads N              stream threads [1]
          --cache MIB              record cache of all threads together [10]
          --commit-ms MS           commit interval [100]
          --app-id NAME            consumer group, and the name of the changelog [kafka-streams-peer]
          --state-dir DIR          where RocksDB is [target/state, beside run.sh]
          --rocksdb KIND           `tuned` as the README says, or `default` as Streams has it [tuned]
          --stop-after N           close cleanly after at least so many events; 0: at SIGTERM [0]
          --progress FILE          where a line is written each second [standard error]
          --set KEY=VALUE          any setting of Streams, consumer. and producer. included; may be repeated
        """;

    /** One topic that is written to. */
    record Sink(String topic, long millionthsPerEvent, int bytes) {}

    String bootstrap = "127.0.0.1:9092";
    String in = "wa.events";
    List<Sink> sinks;
    int stateBytes = 84;
    int threads = 1;
    long cacheMebibytes = 10;
    long commitMillis = 100;
    String appId = "kafka-streams-peer";
    String stateDir = "target/state";
    boolean tunedRocks = true;
    long stopAfter = 0;
    String progress;
    final Properties extra = new Properties();

    static Options parse(String[] arguments) {
        var options = new Options();
        var out = WHAT_TOLLGATE_WRITES;
        var outputs = "1.58";
        var bytes = "385";
        for (int i = 0; i < arguments.length; i += 2) {
            var name = arguments[i];
            if (i + 1 == arguments.length) {
                throw new IllegalArgumentException(name + " needs a value, or is no option");
            }
            var value = arguments[i + 1];
            switch (name) {
                case "--bootstrap" -> options.bootstrap = value;
                case "--in" -> options.in = value;
                case "--out" -> out = value;
                case "--outputs" -> outputs = value;
                case "--output-bytes" -> bytes = value;
                case "--state-bytes" -> options.stateBytes = (int) number(name, value, Fold.LEAST_STATE_BYTES);
                case "--threads" -> options.threads = (int) number(name, value, 1);
                case "--cache" -> options.cacheMebibytes = number(name, value, 0);
                case "--commit-ms" -> options.commitMillis = number(name, value, 1);
                case "--app-id" -> options.appId = value;
                case "--state-dir" -> options.stateDir = value;
                case "--rocksdb" -> options.tunedRocks = switch (value) {
                    case "tuned" -> true;
                    case "default" -> false;
                    default -> throw new IllegalArgumentException("--rocksdb is `tuned` or `default`");
                };
                case "--stop-after" -> options.stopAfter = number(name, value, 0);
                case "--progress" -> options.progress = value;
                case "--set" -> {
                    int equals = value.indexOf('=');
                    if (equals < 1) {
                        throw new IllegalArgumentException("--set takes KEY=VALUE");
                    }
                    options.extra.setProperty(value.substring(0, equals), value.substring(equals + 1));
                }
                default -> throw new IllegalArgumentException("no such option: " + name);
            }
        }
        options.sinks = sinks(out, outputs, bytes);
        return options;
    }

    private static List<Sink> sinks(String out, String outputs, String bytes) {
        var topics = Arrays.asList(out.split(","));
        var sinks = new ArrayList<Sink>();
        for (var topic : topics) {
            var parts = topic.split(":");
            switch (parts.length) {
                case 1 -> {
                    long share = millionths("--outputs", outputs) / topics.size();
                    sinks.add(new Sink(topic, share, (int) number("--output-bytes", bytes, Fold.LEAST_OUTPUT_BYTES)));
                }
                case 3 -> {
                    int size = (int) number("--out", parts[2], Fold.LEAST_OUTPUT_BYTES);
                    sinks.add(new Sink(parts[0], millionths("--out", parts[1]), size));
                }
                default -> throw new IllegalArgumentException("--out takes TOPIC or TOPIC:N:BYTES, not " + topic);
            }
        }
        return sinks;
    }

    private static long number(String name, String value, long least) {
        try {
            long number = Long.parseLong(value);
            if (number >= least) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Told below, as a number that is too small is.
        }
        throw new IllegalArgumentException(name + " takes a whole number from " + least + " on, not " + value);
    }

    private static long millionths(String name, String value) {
        try {
            double number = Double.parseDouble(value);
            if (number >= 0 && number <= 1_000) {
                return Math.round(number * 1e6);
            }
        } catch (NumberFormatException e) {
            // Told below, as a number out of range is.
        }
        throw new IllegalArgumentException(name + " takes a number of records per event, not " + value);
    }
}
