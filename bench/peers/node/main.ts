// An ext_authz server as one would write it first with Node's usual libraries: grpc-js, proto-loader, and jose verifying
// the bearer JWT of each request. Another peer that our service is measured against; not for production.
import { parseArgs } from 'node:util';
import { type sendUnaryData, Server, ServerCredentials, type ServerUnaryCall } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { join } from 'node:path';

type Message = Record<string, any>;

const { values } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:0' },
    jwks: { type: 'string', default: '' },
    issuer: { type: 'string', default: '' },
    audience: { type: 'string', default: '' },
  },
});

const keys = createLocalJWKSet((await (await fetch(values.jwks)).json()) as JSONWebKeySet);
const proto = join(import.meta.dirname, '..', '..', '..', 'proto');
const definitions = loadSync('envoy/service/auth/v3/external_auth.proto', {
  includeDirs: [proto],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});

async function judge({ request }: ServerUnaryCall<Message, Message>): Promise<Message> {
  const { http } = request['attributes'].request;
  const authorization: string =
    http.headers['authorization'] ??
    http.header_map?.headers.find((header: Message) => header['key'] === 'authorization')?.raw_value.toString() ??
    '';
  try {
    const { payload } = await jwtVerify(authorization.replace(/^Bearer /, ''), keys, {
      issuer: values.issuer,
      audience: values.audience,
    });
    const headers = ['sub', 'email', 'name'].map((claim) => ({
      header: { key: `x-user-${claim}`, value: String(payload[claim]) },
      append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
    }));
    return { status: { code: 0 }, ok_response: { headers, headers_to_remove: ['authorization'] } };
  } catch {
    return { status: { code: 16 }, denied_response: { status: { code: 401 } } };
  }
}

const server = new Server();
server.addService(definitions['envoy.service.auth.v3.Authorization'] as never, {
  Check: (call: ServerUnaryCall<Message, Message>, answer: sendUnaryData<Message>) =>
    void judge(call).then((message) => answer(null, message), answer),
});
server.bindAsync(values.listen, ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`listening on ${port}`);
});
process.once('SIGTERM', () => server.forceShutdown());
