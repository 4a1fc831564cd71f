// An OAuth token endpoint that only refreshes: tokens rotate, one that comes twice ends the grant, every answer takes a
// while. `GET /counts` tells what happened. Runs as a process of its own, so that its CPU is not the load generator's.
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';

const ANSWER_MS = 20;
const rotations = new Map<string, number>();
const counts = { refreshed: 0, reused: 0 };

const server = createServer((request, response) => {
  void (async () => {
    if (request.url === '/counts') return response.end(JSON.stringify(counts));
    const form = new URLSearchParams(await text(request));
    await wait(ANSWER_MS);
    const [, user = '', rotation = ''] = /^refresh-(\d+)-(\d+)$/.exec(form.get('refresh_token') ?? '') ?? [];
    const current = rotations.get(user) ?? 0;
    response.setHeader('content-type', 'application/json');
    if (Number(rotation) !== current) {
      counts.reused++;
      return response.writeHead(400).end(JSON.stringify({ error: 'invalid_grant' }));
    }
    counts.refreshed++;
    rotations.set(user, current + 1);
    const token = {
      access_token: `upstream-${user}-${current + 1}`,
      refresh_token: `refresh-${user}-${current + 1}`,
      token_type: 'Bearer',
      expires_in: 3_600,
    };
    return response.end(JSON.stringify(token));
  })();
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as { port: number }).port}`));
