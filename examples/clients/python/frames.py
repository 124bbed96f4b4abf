"""Tollgate's framings: a value begins with 00 and a registry's id, with C3 01 and a fingerprint, or with `{`."""

import io
import json
from pathlib import Path

import fastavro
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"


class FrameError(Exception):
    """A value that cannot be read, and what to do about it."""


class Frames:
    """Writes and reads the values of one topic.

    With a registry values are written for it; without one in Avro's single-object encoding. Both are read, whichever
    is written.
    """

    def __init__(self, schema_file: str, topic: str, registry: str | None = None, schemas: Path = SCHEMAS):
        text = (schemas / schema_file).read_text()
        self.schema = parse_schema(json.loads(text))
        self.header = single_object_header(self.schema)
        # A reader needs the schema of the writer. After an upgrade of Tollgate the topics still hold records of the
        # schemas before: keep those files, anywhere below the directory.
        writers = [parse_schema(json.loads(file.read_text())) for file in schemas.rglob("*.avsc")]
        self.writers = {single_object_header(writer): writer for writer in writers}
        self.context = SerializationContext(topic, MessageField.VALUE)
        self.serializer = self.deserializer = None
        if registry:
            client = SchemaRegistryClient({"url": registry})
            # The subject is `<topic>-value`, as Tollgate names it.
            subject = {"subject.name.strategy": topic_subject_name_strategy}
            # Where only operators may register schemas, say False: then the schema is looked up, and must be there.
            self.serializer = AvroSerializer(client, text, conf={"auto.register.schemas": True, **subject})
            self.deserializer = AvroDeserializer(client, text, conf=subject)

    def write(self, record: dict) -> bytes:
        if self.serializer:
            return self.with_registry(self.serializer, record)
        out = io.BytesIO(self.header)
        out.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(out, self.schema, record)
        return out.getvalue()

    def read(self, value: bytes) -> dict:
        if value[:1] == b"{":
            return json.loads(value)
        if value[:1] == b"\x00":
            if not self.deserializer:
                raise FrameError("the value is framed for a schema registry: pass --registry URL")
            return self.with_registry(self.deserializer, value)
        if value[:2] != b"\xc3\x01":
            raise FrameError("the first bytes are those of no framing that Tollgate writes")
        writer = self.writers.get(value[:10])
        if writer is None:
            known_as = value[9:1:-1].hex()
            raise FrameError(f"schema fingerprint {known_as} is not known: put the schema it was written with into {SCHEMAS}")
        return fastavro.schemaless_reader(io.BytesIO(value[10:]), writer, self.schema)

    def with_registry(self, call, value):
        try:
            return call(value, self.context)
        except Exception as error:  # The registry's own, its HTTP library's, or Avro's.
            raise FrameError(f"with the schema registry: {error}") from error


def single_object_header(schema: dict) -> bytes:
    """C3 01 and CRC-64-AVRO of the schema's parsing canonical form, little-endian, as fastavro's hexadecimal already is."""
    return b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def settings(options) -> dict:
    """What all clients share, and `-X name=value`: TLS, SASL and whatever else your cluster wants."""
    return {"bootstrap.servers": options.bootstrap, "reconnect.backoff.ms": 1000, **dict(pair.split("=", 1) for pair in options.X)}


def partitions(client, topic: str) -> list[int]:
    """The partitions of a topic that must be there."""
    found = client.list_topics(topic, timeout=10).topics[topic]
    if found.error:
        raise SystemExit(f"topic {topic}: {found.error.str()}")
    return sorted(found.partitions)


def present(value):
    """The value without its nulls, as Tollgate's JSON has it."""
    if isinstance(value, dict):
        return {name: present(item) for name, item in value.items() if item is not None}
    return [present(item) for item in value] if isinstance(value, list) else value
