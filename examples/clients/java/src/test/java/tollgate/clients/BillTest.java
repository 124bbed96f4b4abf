package tollgate.clients;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.junit.jupiter.api.Test;

class BillTest {
    private static final Path TESTDATA = Path.of("../testdata");
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Tollgate's plain JSON as Avro; Avro's own reader wants unions tagged. */
    static Object avro(Schema schema, JsonNode value) {
        return switch (schema.getType()) {
            case UNION -> value.isNull() ? null : avro(schema.getTypes().get(1), value);
            case RECORD -> {
                var record = new GenericRecordBuilder(schema);
                for (Schema.Field field : schema.getFields()) {
                    if (value.has(field.name())) {
                        record.set(field, avro(field.schema(), value.get(field.name())));
                    }
                }
                yield record.build();
            }
            case STRING -> value.textValue();
            case LONG -> value.longValue();
            case INT -> value.intValue();
            case BOOLEAN -> value.booleanValue();
            default -> throw new IllegalArgumentException(schema.getType() + " is in no billing line");
        };
    }

    /** What `tollgate replay` wrote, there and back through a frame. */
    private static List<GenericRecord> lines() throws Exception {
        var frames = Frames.of("billing_entry.avsc", "wa.billing", null);
        return Files.readAllLines(TESTDATA.resolve("billing.ndjson")).stream().map(line -> {
            try {
                return frames.read(frames.write((GenericRecord) avro(frames.schema(), JSON.readTree(line))));
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        }).toList();
    }

    /** Messages, free ones, those without a price, and the amount. */
    private static void add(Map<String, List<BigDecimal>> totals, JsonNode row, long messages, long free, long unknown) {
        String amount = row.get("amount").asText("0");
        var figures = List.of(BigDecimal.valueOf(messages), BigDecimal.valueOf(free), BigDecimal.valueOf(unknown), new BigDecimal(amount).setScale(4));
        // The summary knows no months, and names no currency where nothing is to pay.
        totals.merge(row.get("market").asText("") + "/" + row.get("category").asText(""), figures, (a, b) ->
                List.of(a.get(0).add(b.get(0)), a.get(1).add(b.get(1)), a.get(2).add(b.get(2)), a.get(3).add(b.get(3))));
    }

    @Test
    void reversalsAreNettedAndRepeatsLeftOut() throws Exception {
        var bill = new Bill();
        lines().forEach(bill::add);
        lines().forEach(bill::add);
        JsonNode summary = JSON.readTree(TESTDATA.resolve("summary.json").toFile());
        JsonNode ours = bill.json();
        assertEquals(37, ours.get("lines").intValue());
        assertEquals(37, ours.get("duplicates").intValue());
        assertEquals(summary.get("reversals"), ours.get("reversals"));
        assertEquals("{\"USD\":\"0.3397\"}", ours.get("to_pay").toString());

        var expected = new TreeMap<String, List<BigDecimal>>();
        for (JsonNode row : summary.get("bill")) {
            long messages = row.get("messages").longValue();
            String type = row.get("entry_type").textValue();
            add(expected, row, messages, type.equals("FREE") ? messages : 0, type.equals("UNKNOWN") ? messages : 0);
        }
        var found = new TreeMap<String, List<BigDecimal>>();
        for (JsonNode row : ours.get("rows")) {
            add(found, row, row.get("quantity").longValue(), row.get("free").longValue(), row.get("unknown").longValue());
        }
        assertEquals(expected.toString(), found.toString());
    }

    @Test
    void linesThatTookEachOtherBackAreNoRow() throws Exception {
        var bill = new Bill();
        lines().stream().filter(line -> line.get("message_id").toString().equals("wamid.LATE2") && (int) line.get("revision") < 2)
                .forEach(bill::add);
        assertEquals("{\"lines\":2,\"duplicates\":0,\"reversals\":1,\"rows\":[],\"to_pay\":{}}", bill.json().toString());
    }
}
