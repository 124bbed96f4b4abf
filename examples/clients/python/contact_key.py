#!/usr/bin/env python3
"""Computes the contact_key by which Tollgate's outputs name a person, so that a CRM finds its contact in them."""

import argparse
import hashlib
import hmac
import os
from pathlib import Path


def contact_key(deployment_key: bytes, phone_number_id: str, alias: str, generation: int = 0) -> str:
    """The first 128 bits of HMAC-SHA-256 over three fields, each behind its length as four bytes, big-endian.

    `alias` is the person's phone number (digits only) if Tollgate knows it, else the scoped id, else the parent id.
    `generation` is 0, and one more each time the contact was erased.
    """
    mac = hmac.new(deployment_key, digestmod=hashlib.sha256)
    for field in (phone_number_id, alias, str(generation)):
        mac.update(len(field.encode()).to_bytes(4, "big") + field.encode())
    return mac.digest()[:16].hex()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="The deployment's key is read from --key-file, else from TOLLGATE_DEPLOYMENT_KEY.")
    parser.add_argument("--number", required=True, metavar="ID", help="phone_number_id of the business number")
    parser.add_argument("--to", required=True, metavar="ID", help="the person: phone number (digits) or scoped id")
    parser.add_argument("--generation", type=int, default=0, metavar="N", help="how often the contact was erased (default: 0)")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="file with the deployment's key")
    options = parser.parse_args()
    # White space at the end of the file is no part of the key, as in Tollgate.
    key = options.key_file.read_text().rstrip() if options.key_file else os.environ.get("TOLLGATE_DEPLOYMENT_KEY", "")
    if len(key.encode()) < 16:
        parser.error("there is no key, or one of fewer than 16 bytes: see --key-file")
    print(contact_key(key.encode(), options.number, options.to.removeprefix("+"), options.generation))


if __name__ == "__main__":
    main()
