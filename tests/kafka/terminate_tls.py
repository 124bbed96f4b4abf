"""Takes connections by TLS, and passes them on to an address that knows none.

    python3 terminate_tls.py CERTIFICATE_AND_KEY HOST:PORT

Prints its port, of 127.0.0.1. Ends when its standard input does.
"""

import asyncio
import ssl
import sys


async def copy(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # Either side may hang up, and the other is told so.
    finally:
        writer.close()


async def main(certificate, host, port):
    async def connected(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


certificate, address = sys.argv[1:]
host, port = address.rsplit(":", 1)
asyncio.run(main(certificate, host, int(port)))
