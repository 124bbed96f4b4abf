#!/usr/bin/env python3
"""Asks Tollgate whether a message may be sent now, and waits for the verdict.

Exit code: 0 allowed, 10 blocked, 11 unknown, 12 no verdict in time, 1 an error, 2 wrong options.
"""

import argparse
import json
import sys
import time
import uuid
from datetime import datetime, timezone

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from frames import FrameError, Frames, partitions, present, settings

# The set of verdicts is open: one that this program does not know is taken for unknown.
EXIT = {"allowed": 0, "blocked": 10, "unknown": 11}
NO_VERDICT = 12


def ask_event(options, now: int) -> dict:
    """The record to send. Fields that are absent here are null or have defaults in the schema."""
    person = options.to.removeprefix("+")
    content = {"kind": "freeform"}
    if options.template:
        template = {"name": options.template, "language": options.language, "category": options.category}
        content = {"kind": "template", "template": template}
    return {
        "kind": "send_requested",
        "phone_number_id": options.number,
        "occurred_at": now,
        # A scoped id has a dot in it (`BR.1234`), a phone number has digits only.
        "contact": {"user_id" if "." in person else "wa_id": person},
        "send_requested": {
            "request_id": options.request_id,
            "content": content,
            "evaluate_for": options.at and int(options.at.timestamp() * 1000),
        },
    }


def from_now_on(options) -> Consumer:
    """A consumer of verdicts that stands at the end of every partition."""
    consumer = Consumer({
        # Verdicts are written in transactions. Without this (it is librdkafka's default, and not the Java client's) one
        # that was rolled back would be read as well.
        "isolation.level": "read_committed",
        # The library wants a name, but no group is joined: partitions are assigned, and no offset is committed.
        "group.id": "tollgate-ask",
        "enable.auto.commit": False,
        **settings(options),
    })
    ends = []
    for partition in partitions(consumer, options.verdicts):
        # The offset itself, not "latest": that is looked up later, perhaps when the verdict is already there.
        _, end = consumer.get_watermark_offsets(TopicPartition(options.verdicts, partition), timeout=10)
        ends.append(TopicPartition(options.verdicts, partition, end))
    consumer.assign(ends)
    return consumer


def send(options, key: bytes, value: bytes) -> None:
    producer = Producer({
        # librdkafka spreads keys by another hash than the Java client. Tollgate wants Java's: an ask on the wrong
        # partition is not answered, it becomes a dead letter `wrong_partition`.
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "linger.ms": 0,
        **settings(options),
    })
    failed = []
    producer.produce(options.events, key=key, value=value, on_delivery=lambda error, _: error and failed.append(error))
    if producer.flush(options.timeout) > 0:
        producer.purge()
        raise SystemExit(f"The ask did not reach {options.bootstrap} in {options.timeout:g} s. It may still arrive.")
    if failed:
        raise KafkaException(failed[0])


def ask(options) -> dict | None:
    """The verdict, or nothing if none came in time."""
    events = Frames("event.avsc", options.events, options.registry)
    verdicts = Frames("verdict.avsc", options.verdicts, options.registry)
    key = options.number.encode()
    # Stand at the end first and ask then: the other way round the answer may be missed. A program that asks often keeps
    # consumer and producer open and matches many answers by request id.
    consumer = from_now_on(options)
    try:
        event = ask_event(options, int(time.time() * 1000))
        send(options, key, events.write(event))
        deadline = time.monotonic() + options.timeout
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None:
                continue
            if message.error():
                raise KafkaException(message.error())
            if message.key() != key:  # Another number's; request ids are unique within one.
                continue
            verdict = verdicts.read(message.value())
            if verdict["request_id"] == options.request_id:
                return verdict
        return None
    finally:
        consumer.close()


def price_text(price: dict | None) -> str:
    """What it would cost. Unknown is never free: look at `chargeable`, not at a price that is absent."""
    chargeable = price and price.get("chargeable")
    if chargeable is None:
        return f"unknown ({price['unknown_reason'] if price and price.get('unknown_reason') else 'not told'})"
    if not chargeable:
        allowance = price.get("allowance")
        used = f", {allowance['used_before']} of {allowance['limit']} used in {allowance['period']}" if allowance else ""
        return f"free ({price.get('free_reason')}{used})"
    about = ", ".join(part for part in (price.get("category"), price.get("market")) if part)
    if price.get("unit_price") is None:
        return f"charged, how much is unknown ({price.get('unknown_reason')}), {about}"
    return f"{price['unit_price']} {price['currency']}, {about}"


def show(verdict: dict) -> None:
    until = verdict.get("valid_until")
    until = f"{datetime.fromtimestamp(until / 1000, timezone.utc):%Y-%m-%d %H:%M:%S} UTC" if until else "no end known"
    print(f"{verdict['verdict']}: {verdict['reason']}{'' if verdict['enforced'] else ' (observed only)'}")
    print(f"  until    {until}")
    print(f"  price    {price_text(verdict.get('price'))}")
    for warning in verdict["warnings"]:
        print(f"  warning  {warning['code']}")
    for other in verdict["alternatives"]:
        what = " ".join(part for part in (other.get("category"), other["message_kind"]) if part)
        print(f"  instead  {what}: {price_text(other['price'])}")


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT", help="Kafka's brokers")
    parser.add_argument("--number", required=True, metavar="ID", help="phone_number_id of the business number that sends")
    parser.add_argument("--to", required=True, metavar="ID", help="the person: phone number (digits) or scoped id")
    parser.add_argument("--template", metavar="NAME", help="ask about this template; without it about free-form text")
    parser.add_argument("--language", metavar="CODE", help="the template's language, such as en_US")
    parser.add_argument("--category", help="the category you believe the template has; Tollgate's record outranks it")
    parser.add_argument("--at", type=datetime.fromisoformat, metavar="TIME", help="answer for then: 2026-12-01T09:00:00Z")
    parser.add_argument("--request-id", default=str(uuid.uuid4()), metavar="ID",
                        help="your id of the send; it comes back in verdict, outcome and billing line (default: a new one)")
    parser.add_argument("--registry", metavar="URL", help="schema registry; without it single-object encoding")
    parser.add_argument("--timeout", type=float, default=10, metavar="SECONDS", help="how long to wait (default: 10)")
    parser.add_argument("--json", action="store_true", help="print the verdict record as one line of JSON")
    parser.add_argument("--events", default="wa.events", metavar="TOPIC", help="where asks go (default: wa.events)")
    parser.add_argument("--verdicts", default="wa.verdicts", metavar="TOPIC", help="where they are answered (default: wa.verdicts)")
    parser.add_argument("-X", action="append", default=[], metavar="NAME=VALUE", help="a setting of librdkafka (repeatable)")
    options = parser.parse_args(argv)
    if bool(options.template) != bool(options.language):
        parser.error("--template and --language belong together")
    if options.at and options.at.tzinfo is None:
        parser.error("--at needs a time zone, such as a Z at the end")
    return options


def main() -> int:
    options = arguments()
    verdict = ask(options)
    if verdict is None:
        # Asking again with the same id would get no answer: a repeat of an ask that is held is ignored.
        print(f"No verdict on {options.request_id} in {options.timeout:g} s. That is neither yes nor no. Is Tollgate running, "
              f"and near the end of {options.events}? Is the ask in wa.dead-letters? Ask again with a new request id.",
              file=sys.stderr)
        if options.json:
            print(json.dumps({"request_id": options.request_id, "error": "no_verdict_in_time"}))
        return NO_VERDICT
    if options.json:
        print(json.dumps(present(verdict)))
    else:
        show(verdict)
    return EXIT.get(verdict["verdict"], EXIT["unknown"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (FrameError, KafkaException) as error:
        sys.exit(f"ask: {error}")
