#!/usr/bin/env python3
"""Adds up Tollgate's ledger: what there is to pay, by month, market, category and currency."""

import argparse
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from frames import FrameError, Frames, partitions, settings


@dataclass
class Total:
    quantity: int = 0
    free: int = 0
    # Messages without a known price. They are in no amount, and they are not free: show them.
    unknown: int = 0
    amount: Decimal | None = None


class Bill:
    def __init__(self):
        # Ids of the lines that were added. A service keeps them, its totals and its offsets in one database transaction.
        self.seen: set[str] = set()
        self.duplicates = 0
        self.reversals = 0
        self.totals: defaultdict[tuple, Total] = defaultdict(Total)

    def add(self, line: dict) -> None:
        id = line["envelope"]["id"]
        if id in self.seen:
            self.duplicates += 1
            return
        self.seen.add(id)
        self.reversals += line["entry_type"] == "REVERSAL"
        # Quantities and amounts are signed, and a REVERSAL repeats market, category and price of the line that it takes
        # back. So all lines are added, whatever their type, and nothing is ever looked up or deleted.
        key = tuple(line.get(name) for name in ("billing_period", "market", "category", "currency", "unit"))
        total, quantity, amount = self.totals[key], line["quantity"], line.get("amount")
        total.quantity += quantity
        if amount is None:
            total.unknown += quantity
        else:
            # Decimal, never float: 0.1 + 0.2 is not 0.3 there.
            total.amount = (total.amount or Decimal(0)) + Decimal(amount)
            if line.get("free_reason") is not None:
                total.free += quantity

    def rows(self) -> list[dict]:
        """Totals in order, without those whose lines took each other back entirely."""
        rows = []
        for key, total in sorted(self.totals.items(), key=lambda item: [part or "" for part in item[0]]):
            if total.quantity or total.unknown or total.amount:
                period, market, category, currency, unit = key
                amount = None if total.amount is None else format(total.amount, "f")
                rows.append({"period": period, "market": market, "category": category, "currency": currency, "unit": unit,
                             "quantity": total.quantity, "free": total.free, "unknown": total.unknown, "amount": amount})
        return rows

    def to_pay(self) -> dict[str, str]:
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for (_, _, _, currency, _), total in self.totals.items():
            if total.amount:
                sums[currency or "?"] += total.amount
        return {currency: format(amount, "f") for currency, amount in sorted(sums.items())}

    def as_json(self) -> str:
        return json.dumps({"lines": len(self.seen), "duplicates": self.duplicates, "reversals": self.reversals,
                           "rows": self.rows(), "to_pay": self.to_pay()})

    def as_table(self) -> str:
        head = ("Period", "Market", "Category", "Unit", "Quantity", "Free", "No price", "Amount", "")
        names = ("period", "market", "category", "unit", "quantity", "free", "unknown", "amount", "currency")
        table = [head] + [tuple("?" if row[name] is None else str(row[name]) for name in names) for row in self.rows()]
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = ["  ".join(cell.rjust(width) if 4 <= at <= 7 else cell.ljust(width)
                           for at, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in table]
        lines += [f"To pay: {amount} {currency}" for currency, amount in self.to_pay().items()]
        if unknown := sum(total.unknown for total in self.totals.values()):
            lines.append(f"Without a known price, and in no amount: {unknown}")
        lines.append(f"{len(self.seen)} lines, {self.reversals} of them reversals; {self.duplicates} repeats left out")
        return "\n".join(lines)


def read(options, bill: Bill) -> None:
    frames = Frames("billing_entry.avsc", options.billing, options.registry)
    consumer = Consumer({
        # Lines are written in transactions, and one that is rolled back must not be paid. It is librdkafka's default,
        # and not the Java client's: say it.
        "isolation.level": "read_committed",
        # The library wants a name, but no group is joined: the ledger is read from its first line on every run.
        "group.id": "tollgate-bill",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        **settings(options),
    })
    try:
        left = set(partitions(consumer, options.billing))
        consumer.assign([TopicPartition(options.billing, partition, OFFSET_BEGINNING) for partition in left])
        last = time.monotonic()
        while not (options.until_end and not left):
            if options.until_idle and time.monotonic() - last >= options.until_idle:
                return
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
                left.discard(message.partition())
                continue
            last = time.monotonic()
            bill.add(frames.read(message.value()))
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT", help="Kafka's brokers")
    parser.add_argument("--registry", metavar="URL", help="schema registry; needed if Tollgate writes with one")
    parser.add_argument("--until-end", action="store_true", help="stop at the end of the partitions, not at Ctrl-C")
    parser.add_argument("--until-idle", type=float, metavar="SECONDS", help="stop when no line came for so long")
    parser.add_argument("--json", action="store_true", help="print the totals as one line of JSON")
    parser.add_argument("--billing", default="wa.billing", metavar="TOPIC", help="the ledger (default: wa.billing)")
    parser.add_argument("-X", action="append", default=[], metavar="NAME=VALUE", help="a setting of librdkafka (repeatable)")
    return parser.parse_args(argv)


def main() -> int:
    options, bill = arguments(), Bill()
    read(options, bill)
    print(bill.as_json() if options.json else bill.as_table())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (FrameError, KafkaException) as error:
        sys.exit(f"bill: {error}")
