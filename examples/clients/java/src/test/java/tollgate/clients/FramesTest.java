package tollgate.clients;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FramesTest {
    /** What Tollgate itself has written, and the schemas of that time. */
    static final Path GOLDEN = Path.of("../../../tests/golden");

    /** The records of a golden file: hexadecimal digits, each record below a comment. */
    static List<byte[]> golden(String file) throws IOException {
        String text = Files.readString(GOLDEN.resolve("records/v1").resolve(file));
        return Arrays.stream(text.split("# ")).skip(1)
                .map(part -> part.substring(part.indexOf('\n')).replaceAll("\\s", ""))
                .map(HexFormat.of()::parseHex).toList();
    }

    private static String schema(String name) throws IOException {
        return Files.readString(GOLDEN.resolve("schemas/v1").resolve(name + ".avsc"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"Event", "Verdict", "BillingEntry"})
    void recordsOfTollgateAreReadAndWritten(String name) throws Exception {
        var frames = new Frames(schema(name), "topic", null);
        var values = golden(name + ".single");
        assertTrue(values.size() > 1);
        for (byte[] value : values) {
            byte[] again = frames.write(frames.read(value));
            assertEquals(value.length, again.length);
            assertEquals(frames.read(value), frames.read(again)); // Not byte for byte: the entries of a map have no order.
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Event", "Verdict", "BillingEntry"})
    void theFingerprintIsThatOfSchemaNormalization(String name) throws Exception {
        byte[] fingerprint = SchemaNormalization.parsingFingerprint("CRC-64-AVRO", new Schema.Parser().parse(schema(name)));
        byte[] value = golden(name + ".single").get(0);
        assertEquals("c301", HexFormat.of().formatHex(value, 0, 2));
        assertArrayEquals(fingerprint, Arrays.copyOfRange(value, 2, 10));
    }

    @Test
    void aRegistryIsWrittenForAndReadFrom() throws Exception {
        var json = new ObjectMapper();
        String[] registered = new String[1];
        var registry = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        registry.createContext("/", exchange -> {
            Object answer = switch (exchange.getRequestMethod() + " " + exchange.getRequestURI().getPath()) {
                case "POST /subjects/wa.verdicts-value/versions" -> {
                    registered[0] = json.readTree(exchange.getRequestBody()).get("schema").textValue();
                    yield Map.of("id", 7);
                }
                case "GET /schemas/ids/7" -> Map.of("schema", registered[0]);
                default -> null;
            };
            byte[] body = answer == null ? "no".getBytes(StandardCharsets.UTF_8) : json.writeValueAsBytes(answer);
            exchange.sendResponseHeaders(answer == null ? 404 : 200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        registry.start();
        try {
            String url = "http://127.0.0.1:" + registry.getAddress().getPort() + "/";
            byte[] single = golden("Verdict.single").get(0);
            var record = Frames.of("verdict.avsc", "wa.verdicts", null).read(single);
            byte[] value = Frames.of("verdict.avsc", "wa.verdicts", url).write(record);
            assertEquals("0000000007", HexFormat.of().formatHex(value, 0, 5));
            assertArrayEquals(Arrays.copyOfRange(single, 10, single.length), Arrays.copyOfRange(value, 5, value.length));
            // Another process learns the schema from its id; single-object values are read beside it.
            var other = Frames.of("verdict.avsc", "wa.verdicts", url);
            assertEquals(record, other.read(value));
            assertEquals(record, other.read(single));
            assertTrue(assertThrows(IOException.class, () -> other.read(new byte[] {0, 0, 0, 0, 8, 0})).getMessage().contains("404"));
        } finally {
            registry.stop(0);
        }
    }

    @Test
    void whatCannotBeReadSaysWhy() throws Exception {
        var frames = Frames.of("verdict.avsc", "wa.verdicts", null);
        var unregistered = assertThrows(IOException.class, () -> frames.read(new byte[] {0, 0, 0, 0, 1, 2}));
        assertTrue(unregistered.getMessage().contains("--registry"));
        byte[] unknown = {(byte) 0xC3, 1, 0, 0, 0, 0, 0, 0, 0, 0};
        assertTrue(assertThrows(IOException.class, () -> frames.read(unknown)).getMessage().contains("another version"));
    }
}
