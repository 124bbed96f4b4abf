package tollgate.peer;

import com.sun.management.OperatingSystemMXBean;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.Stores;

/** The peer that Tollgate is compared with: the same work in the shape of it that suits Kafka Streams best. */
public final class Peer {
    private final Options options;
    private final LongAdder processed = new LongAdder();
    private final LongAdder written = new LongAdder();
    private final CountDownLatch stop = new CountDownLatch(1);
    private final CountDownLatch closed = new CountDownLatch(1);
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final OperatingSystemMXBean system =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private final long started = System.nanoTime();
    private volatile int exitCode = 1;

    private Peer(Options options) {
        this.options = options;
    }

    public static void main(String[] arguments) throws Exception {
        if (List.of(arguments).contains("--help")) {
            System.out.print(Options.HELP);
            return;
        }
        Options options;
        try {
            options = Options.parse(arguments);
        } catch (IllegalArgumentException e) {
            System.err.println(e.getMessage());
            System.err.print(Options.HELP);
            System.exit(2);
            return;
        }
        new Peer(options).run();
        System.exit(0);
    }

    private void run() throws IOException, InterruptedException {
        var file = options.progress;
        try (var progress = file == null ? System.err : new PrintStream(new FileOutputStream(file));
             var streams = new KafkaStreams(topology(), settings())) {
            streams.setUncaughtExceptionHandler(error -> {
                failure.compareAndSet(null, error);
                stop.countDown();
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            Runtime.getRuntime().addShutdownHook(new Thread(this::stopAndEnd));
            progress.println("millis,processed,written,cpu_millis");
            streams.start();
            watch(progress);
            boolean clean = streams.close(Duration.ofMinutes(1));
            report(progress);
            if (failure.get() != null) {
                failure.get().printStackTrace();
            }
            exitCode = clean && failure.get() == null ? 0 : 1;
        } finally {
            closed.countDown();
        }
    }

    /** A line each second, until there is a reason to stop. */
    private void watch(PrintStream progress) throws InterruptedException {
        for (long tick = 1; !stop.await(10, TimeUnit.MILLISECONDS); tick++) {
            if (options.stopAfter > 0 && processed.sum() >= options.stopAfter) {
                return;
            }
            if (tick % 100 == 0) {
                report(progress);
            }
        }
    }

    private void report(PrintStream progress) {
        progress.println((System.nanoTime() - started) / 1_000_000 + "," + processed.sum() + "," + written.sum() + ","
            + system.getProcessCpuTime() / 1_000_000);
        progress.flush();
    }

    /** However the virtual machine comes to its end: waits for the last commit, and tells how that went. */
    private void stopAndEnd() {
        stop.countDown();
        try {
            closed.await(90, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        Runtime.getRuntime().halt(exitCode);
    }

    private Topology topology() {
        var topology = new Topology();
        topology.addSource("events", new ByteArrayDeserializer(), new ByteArrayDeserializer(), options.in);
        topology.addProcessor("fold", () -> new Fold(options, processed, written), "events");
        var store = Stores.persistentKeyValueStore(Fold.STORE);
        topology.addStateStore(
            Stores.keyValueStoreBuilder(store, Serdes.Bytes(), Serdes.ByteArray()).withCachingEnabled(), "fold");
        for (var sink : options.sinks) {
            topology.addSink(sink.topic(), sink.topic(), new ByteArraySerializer(), new ByteArraySerializer(), "fold");
        }
        return topology;
    }

    private Properties settings() {
        var settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, options.appId);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.bootstrap);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, options.threads);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, options.cacheMebibytes << 20);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, options.commitMillis);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, options.stateDir);
        if (options.tunedRocks) {
            settings.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, RocksTuning.class);
        }
        settings.put(StreamsConfig.ENABLE_METRICS_PUSH_CONFIG, false);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        // What librdkafka does unless told otherwise: it does not check checksums, and TCP does.
        settings.put(StreamsConfig.consumerPrefix("check.crcs"), false);
        settings.put(StreamsConfig.consumerPrefix("max.poll.records"), 5_000);
        settings.put(StreamsConfig.consumerPrefix("max.partition.fetch.bytes"), 4 << 20);
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 5_000);
        settings.put(StreamsConfig.producerPrefix("linger.ms"), 20);
        settings.put(StreamsConfig.producerPrefix("batch.size"), 256 << 10);
        settings.put(StreamsConfig.producerPrefix("buffer.memory"), 128L << 20);
        settings.put(StreamsConfig.producerPrefix("transaction.timeout.ms"), 60_000);
        settings.putAll(options.extra);
        return settings;
    }
}
