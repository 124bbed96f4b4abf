package tollgate.clients;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Instant;
import java.util.Arrays;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AskTest {
    private static String event(String... more) throws Exception {
        String[] args = Stream.concat(Stream.of("--bootstrap", "b", "--number", "106540352242922", "--request-id", "ask-1"),
                Arrays.stream(more)).toArray(String[]::new);
        var options = Options.parse(args, "", Set.of("bootstrap", "number", "to", "request-id", "template", "language", "at"),
                Set.of(), Set.of());
        var frames = Frames.of("event.avsc", "wa.events", null);
        var event = frames.read(frames.write(new Ask(options).event(frames.schema(), Instant.ofEpochMilli(1_790_000_000_000L))));
        return Frames.json(event).get("contact") + " " + Frames.json(event).get("send_requested");
    }

    @Test
    void anAskIsAnEvent() throws Exception {
        assertEquals("{\"wa_id\":\"12025550143\"} {\"request_id\":\"ask-1\",\"content\":{\"kind\":\"template\",\"template\":"
                + "{\"name\":\"order_update\",\"language\":\"en_US\"}},\"evaluate_for\":1796115600000,\"attributes\":{}}",
                event("--to", "+12025550143", "--template", "order_update", "--language", "en_US", "--at", "2026-12-01T09:00:00Z"));
        assertEquals("{\"user_id\":\"BR.1234\"} {\"request_id\":\"ask-1\",\"content\":{\"kind\":\"freeform\"},\"attributes\":{}}",
                event("--to", "BR.1234"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{} | unknown (not told)",
        "{\"unknown_reason\":\"time_zone_unknown\"} | unknown (time_zone_unknown)",
        "{\"chargeable\":true,\"unknown_reason\":\"no_rate\",\"category\":\"utility\"} | charged, how much is unknown (no_rate), utility, ?",
        "{\"chargeable\":true,\"unit_price\":\"0.0068\",\"currency\":\"USD\",\"category\":\"utility\",\"market\":\"Brazil\"} | 0.0068 USD, utility, Brazil",
        "{\"chargeable\":false,\"free_reason\":\"reaction\"} | free (reaction)",
    })
    void anUnknownPriceIsNeverFree(String price, String text) throws Exception {
        assertEquals(text, Ask.price(new ObjectMapper().readTree(price)));
    }
}
