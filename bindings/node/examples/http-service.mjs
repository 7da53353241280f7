// An HTTP service over one producer: `node http-service.mjs HOST:PORT TOPIC [HTTP_PORT]`.
// POST a body to /KEY; the answer comes when the record is acknowledged. A client that goes away
// gives up its record if that still waits. Ctrl-C finishes what is in flight.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { OttlaError, Producer } from 'ottla';

const [bootstrapServers = '127.0.0.1:9092', topic = 'requests', port = '0'] = process.argv.slice(2);

const producer = await Producer.connect({ bootstrapServers, lingerMs: 2 });

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function handle(request, response) {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    const value = await buffer(request);
    const key = decodeURIComponent((request.url ?? '/').slice(1));
    const written = await producer.send({ topic, key, value }, { signal: gone.signal });
    const place = { partition: written.partition, offset: String(written.offset) };
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(place));
  } catch (error) {
    if (gone.signal.aborted) return;
    const isTheirs = error instanceof OttlaError && !error.retriable;
    const text = error instanceof Error ? error.message : String(error);
    response.writeHead(isTheirs ? 400 : 503, { 'content-type': 'text/plain' }).end(text);
  }
}

const server = createServer(handle).listen(Number(port), '127.0.0.1');
await once(server, 'listening');
const address = server.address();
const bound = typeof address === 'object' ? address?.port : address;
console.log(`listening on http://127.0.0.1:${bound}`);

await once(process, 'SIGINT');
server.close();
server.closeIdleConnections();
await once(server, 'close');
await producer.close();
console.log('closed');
