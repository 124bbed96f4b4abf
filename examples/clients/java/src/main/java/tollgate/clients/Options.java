package tollgate.clients;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/** Command line options: {@code --name value}, {@code --flag}, and {@code -X name=value} for Kafka's own settings. */
final class Options {
    private final Map<String, String> values = new HashMap<>();
    private final Properties kafka = new Properties();

    /** Exits with code 2 and the usage if the options are not these. */
    static Options parse(String[] args, String usage, Set<String> valued, Set<String> flags, Set<String> required) {
        var options = new Options();
        List<String> wrong = new ArrayList<>();
        for (int at = 0; at < args.length; at++) {
            String arg = args[at];
            String name = arg.startsWith("--") ? arg.substring(2) : "";
            String[] setting = at + 1 < args.length ? args[at + 1].split("=", 2) : new String[0];
            if (flags.contains(name)) {
                options.values.put(name, "");
            } else if (valued.contains(name) && at + 1 < args.length) {
                options.values.put(name, args[++at]);
            } else if (arg.equals("-X") && setting.length == 2) {
                options.kafka.put(setting[0], setting[1]);
                at++;
            } else {
                wrong.add(arg);
            }
        }
        required.stream().filter(name -> !options.has(name)).forEach(name -> wrong.add("--" + name + " is missing"));
        if (!wrong.isEmpty()) {
            System.err.println(String.join(", ", wrong) + "\nusage: " + usage);
            System.exit(2);
        }
        return options;
    }

    boolean has(String name) {
        return values.containsKey(name);
    }

    /** The value, or null. */
    String get(String name) {
        return values.get(name);
    }

    String get(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    /** Properties of a client, those of {@code -X} over these. */
    Properties kafka(Map<String, Object> settings) {
        var properties = new Properties();
        properties.put("bootstrap.servers", get("bootstrap"));
        properties.putAll(settings);
        properties.putAll(kafka);
        return properties;
    }

    /** The partitions of a topic that must be there: Kafka's own answer on one that is not is an empty list. */
    static List<TopicPartition> partitions(Consumer<?, ?> consumer, String topic) {
        var partitions = consumer.partitionsFor(topic);
        if (partitions.isEmpty()) {
            throw new KafkaException("topic " + topic + " is not there, or may not be read");
        }
        return partitions.stream().map(info -> new TopicPartition(topic, info.partition())).toList();
    }
}
