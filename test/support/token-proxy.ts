import { request } from 'node:http';
import { listen, type Running } from '../../demo/web-server.ts';

/** For clients that cannot send credentials: passes everything on to `origin()`, with this Authorization added. */
export function startTokenProxy(origin: () => string, authorization: () => Promise<string>): Promise<Running> {
  return listen(
    (incoming, response) => {
      void (async () => {
        const { hostname, port } = new URL(origin());
        const outgoing = request(
          {
            hostname,
            port,
            method: incoming.method,
            path: incoming.url,
            // A flat array is sent as it stands, Host and copies included.
            headers: [...incoming.rawHeaders, 'Authorization', await authorization()],
            setHost: false,
            agent: false,
          },
          (answer) => {
            response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
            response.flushHeaders(); // an event stream may stay silent
            answer.pipe(response);
          },
        );
        outgoing.on('error', () => response.destroy());
        response.on('close', () => outgoing.destroy());
        incoming.pipe(outgoing);
      })();
    },
    { port: 0 },
  );
}
