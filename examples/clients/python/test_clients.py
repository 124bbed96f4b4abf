"""Tests without a broker: `python -m unittest`, in this directory."""

import json
import os
import subprocess
import tempfile
import unittest
from collections import Counter
from decimal import Decimal
from pathlib import Path

import ask
import fake_registry
from bill import Bill
from contact_key import contact_key
from frames import FrameError, Frames, present

REPOSITORY = Path(__file__).resolve().parents[3]
TESTDATA = REPOSITORY / "examples/clients/testdata"
GOLDEN = REPOSITORY / "tests/golden"
RECORDS = [("Event", "event.avsc"), ("Verdict", "verdict.avsc"), ("BillingEntry", "billing_entry.avsc")]


def golden(name: str) -> list[bytes]:
    """The records of a golden file, as Tollgate framed them: hexadecimal digits, each record below a comment."""
    text = (GOLDEN / "records/v1" / name).read_text()
    return [bytes.fromhex("".join(part.splitlines()[1:])) for part in text.split("# ")[1:]]


def same(a, b) -> bool:
    """Equal but for what is absent or empty, which JSON leaves out."""
    def full(value):
        if isinstance(value, dict):
            return {name: full(item) for name, item in value.items() if item not in (None, {})}
        return [full(item) for item in value] if isinstance(value, list) else value
    return full(a) == full(b)


class Framings(unittest.TestCase):
    def test_records_of_tollgate_are_read_and_written_byte_for_byte(self):
        # The golden schemas are the ones that the golden records were written with; Java's test holds their
        # fingerprints to SchemaNormalization.
        for name, _ in RECORDS:
            frames = Frames(f"{name}.avsc", "topic", schemas=GOLDEN / "schemas/v1")
            values = golden(f"{name}.single")
            self.assertTrue(values)
            for value in values:
                self.assertEqual(value[:10], frames.header)
                self.assertEqual(frames.write(frames.read(value)), value)

    def test_json_is_read_too(self):
        lines = (TESTDATA / "billing.ndjson").read_bytes().splitlines()
        frames = Frames("billing_entry.avsc", "wa.billing")
        for line in lines:
            record = frames.read(line)
            self.assertTrue(same(frames.read(frames.write(record)), record))

    def test_a_registry_is_written_for_and_read_from(self):
        registry = fake_registry.serve()
        self.addCleanup(registry.server_close)
        self.addCleanup(registry.shutdown)
        for name, file in RECORDS:
            record = Frames(file, "topic").read(golden(f"{name}.single")[0])
            frames = Frames(file, "topic", f"http://127.0.0.1:{registry.server_port}")
            value = frames.write(record)
            self.assertEqual(value[:4], b"\0\0\0\0")
            self.assertEqual(value[5:], Frames(file, "topic").write(record)[10:])
            # Another process learns the schema from its id; single-object values are read beside it.
            other = Frames(file, "topic", f"http://127.0.0.1:{registry.server_port}")
            self.assertEqual(other.read(value), record)
            self.assertEqual(other.read(golden(f"{name}.single")[0]), record)

    def test_what_cannot_be_read_says_why(self):
        frames = Frames("verdict.avsc", "wa.verdicts")
        for value, why in [(b"\0\0\0\0\1x", "--registry"), (b"\xc3\x01" + bytes(8), "0000000000000000"), (b"x", "framing")]:
            with self.assertRaisesRegex(FrameError, why):
                frames.read(value)


class Asks(unittest.TestCase):
    def options(self, *more):
        return ask.arguments(["--bootstrap", "b", "--number", "106540352242922", "--to", "+12025550143", *more])

    def test_an_ask_is_an_event(self):
        options = self.options("--template", "order_update", "--language", "en_US", "--at", "2026-12-01T09:00:00Z")
        frames = Frames("event.avsc", "wa.events")
        event = present(frames.read(frames.write(ask.ask_event(options, 1_790_000_000_000))))
        self.assertEqual(event["contact"], {"wa_id": "12025550143"})
        self.assertEqual(event["send_requested"], {
            "request_id": options.request_id,
            "content": {"kind": "template", "template": {"name": "order_update", "language": "en_US"}},
            "evaluate_for": 1_796_115_600_000, "attributes": {}})
        self.assertEqual(ask.ask_event(self.options(), 1)["send_requested"]["content"], {"kind": "freeform"})

    def test_a_scoped_id_is_no_phone_number(self):
        options = ask.arguments(["--bootstrap", "b", "--number", "1", "--to", "BR.1234"])
        self.assertEqual(ask.ask_event(options, 1)["contact"], {"user_id": "BR.1234"})

    def test_an_unknown_price_is_never_free(self):
        for price, text in [
            (None, "unknown (not told)"),
            ({"chargeable": None, "unknown_reason": "time_zone_unknown"}, "unknown (time_zone_unknown)"),
            ({"chargeable": True, "unknown_reason": "no_rate", "category": "utility"},
             "charged, how much is unknown (no_rate), utility"),
            ({"chargeable": True, "unit_price": "0.0068", "currency": "USD", "category": "utility", "market": "Brazil"},
             "0.0068 USD, utility, Brazil"),
            ({"chargeable": False, "free_reason": "free_customer_service",
              "allowance": {"used_before": 7, "limit": 1000, "period": "2026-10"}},
             "free (free_customer_service, 7 of 1000 used in 2026-10)"),
        ]:
            self.assertEqual(ask.price_text(price), text)


class Bills(unittest.TestCase):
    def check(self, lines: list[bytes], summary: dict) -> Bill:
        """The bill of the lines, each taken twice, against what `tollgate replay` says that it has written."""
        bill = Bill()
        for line in lines + lines:
            bill.add(json.loads(line))
        self.assertEqual((len(bill.seen), bill.duplicates), (len(lines), len(lines)))
        self.assertEqual(bill.reversals, summary["reversals"])
        ours, theirs = {}, {}
        for row in bill.rows():
            self.add(ours, row, row["quantity"], row["free"], row["unknown"], row["amount"])
        for row in summary["bill"]:
            kind, count = row["entry_type"], row["messages"]
            self.add(theirs, row, count, count * (kind == "FREE"), count * (kind == "UNKNOWN"), row["amount"])
        self.assertEqual(ours, theirs)
        paid = Counter()
        for row in summary["bill"]:
            if row["entry_type"] == "CHARGE":
                paid[row["currency"]] += Decimal(row["amount"])
        self.assertEqual({currency: Decimal(amount) for currency, amount in bill.to_pay().items()}, dict(paid))
        return bill

    @staticmethod
    def add(totals: dict, row: dict, *figures) -> None:
        # The summary knows no months, and names no currency where nothing is to pay.
        figures = [*figures[:3], Decimal(figures[3] or 0)]
        key = (row["market"] or "", row["category"] or "")
        totals[key] = [a + b for a, b in zip(totals.get(key, [0, 0, 0, Decimal(0)]), figures)]

    def test_reversals_are_netted_and_repeats_left_out(self):
        lines = (TESTDATA / "billing.ndjson").read_bytes().splitlines()
        bill = self.check(lines, json.loads((TESTDATA / "summary.json").read_text()))
        self.assertEqual(bill.to_pay(), {"USD": "0.3397"})
        self.assertEqual(bill.reversals, 5)
        self.assertIn("Without a known price, and in no amount: 4", bill.as_table())

    def test_lines_that_took_each_other_back_are_no_row(self):
        lines = (TESTDATA / "billing.ndjson").read_bytes().splitlines()
        bill = Bill()
        for line in map(json.loads, lines):
            if line["message_id"] == "wamid.LATE2" and line["revision"] < 2:
                bill.add(line)
        self.assertEqual((len(bill.seen), bill.rows(), bill.to_pay()), (2, [], {}))

    def test_a_generated_month_against_replay(self):
        names = [os.environ.get("TOLLGATE"), REPOSITORY / "target/release/tollgate", REPOSITORY / "target/debug/tollgate"]
        tollgate = next((name for name in names if name and Path(name).exists()), None)
        if not tollgate:
            self.skipTest("no tollgate: `make build`, or set TOLLGATE to the command")
        with tempfile.TemporaryDirectory() as directory:
            at = Path(directory)
            subprocess.run([tollgate, "loadgen", "--events", "20000", "--contacts", "50", "--numbers", "1", "--start",
                            "2026-10-01", "--days", "31", "--out", at / "month.ndjson"], check=True, capture_output=True)
            summary = subprocess.run(
                [tollgate, "replay", at / "month.ndjson", TESTDATA / "late.ndjson", "--accounts", at / "month.accounts.ndjson",
                 "--templates", at / "month.templates.ndjson", "--config", REPOSITORY / "examples/demo.toml",
                 "--out", at / "out", "--summary", "json"], check=True, capture_output=True).stdout
            bill = self.check((at / "out/billing.ndjson").read_bytes().splitlines(), json.loads(summary))
            self.assertGreater(bill.reversals, 5)


class ContactKeys(unittest.TestCase):
    def test_the_published_vector(self):
        key = contact_key(b"sample deployment key", "106540352242922", "12025550143", 0)
        self.assertEqual(key, "a940c68d0f93e425d65f23f580f91bd7")
        # The fourth of the ids that Tollgate's own test holds.
        self.assertEqual(key, (GOLDEN / "ids.txt").read_text().split()[3])


if __name__ == "__main__":
    unittest.main()
