// node test/support/load-child.ts URL TOKEN TOTAL PER_SECOND: calls over kept connections, then prints what came of them.
import { Agent, request } from 'node:http';

const [url = '', token = '', total = '0', perSecond = '1'] = process.argv.slice(2);
const CONNECTIONS = 64;
const TICK_MS = 10;
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x', arguments: {} } });
const headers = {
  authorization: `Bearer ${token}`,
  'content-type': 'application/json',
  'content-length': String(body.length),
};
const outcomes: Record<string, number> = {};

function call(): Promise<void> {
  return new Promise((resolve) => {
    const count = (outcome: string) => {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      resolve();
    };
    const outgoing = request(url, { method: 'POST', agent, headers }, (response) => {
      response.resume().on('end', () => count(String(response.statusCode)));
      response.on('error', (error) => count(error.message));
    });
    outgoing.setTimeout(30_000, () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', (error) => count(error.message));
    outgoing.end(body);
  });
}

// An open loop: who is slow gets no fewer calls. Calls that are late for their tick are made up for.
const calls: Promise<void>[] = [];
const started = performance.now();
await new Promise<void>((resolve) => {
  const timer = setInterval(() => {
    const due = Math.min(Number(total), Math.ceil(((performance.now() - started) / 1_000) * Number(perSecond)));
    while (calls.length < due) calls.push(call());
    if (calls.length < Number(total)) return;
    clearInterval(timer);
    resolve();
  }, TICK_MS);
});
await Promise.all(calls);
agent.destroy();
console.log(JSON.stringify(outcomes));
