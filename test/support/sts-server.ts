import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface AssumedRole {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly durationSeconds: number;
  readonly token: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** How the next calls fail: a status with an STS error code, or with a body that is none; or no answer. */
export type StsTrouble =
  | { readonly status: number; readonly code?: string; readonly body?: string }
  | 'hang'
  | 'hang-up';

/** AWS STS as far as AssumeRoleWithWebIdentity goes: strict about parameters, generous about tokens. */
export interface StsServer {
  readonly url: string;
  /** Roles that were assumed, in order. */
  readonly assumed: AssumedRole[];
  /** Calls that arrived, good or bad. */
  calls: number;
  trouble: StsTrouble | undefined;
  /** Seconds that credentials live, in place of DurationSeconds. */
  lifetimeSeconds: number | undefined;
  stop(): Promise<void>;
}

export async function startSts(): Promise<StsServer> {
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    sts.calls++;
    const { trouble } = sts;
    if (trouble === 'hang') return;
    if (trouble === 'hang-up') return void request.socket.destroy();
    const answer = (status: number, body: string) =>
      void response.writeHead(status, { 'content-type': 'text/xml' }).end(body);
    if (trouble) return answer(trouble.status, trouble.body ?? stsError(trouble.code ?? 'InternalFailure'));
    const params = new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
    const fault = request.method === 'POST' ? faultOf(params) : 'the method is not POST';
    if (fault) return answer(400, stsError('ValidationError', fault));
    const role = assumedRole(params);
    sts.assumed.push(role);
    answer(200, stsAnswer(role, Date.now() + (sts.lifetimeSeconds ?? role.durationSeconds) * 1_000));
  };
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sts: StsServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    assumed: [],
    calls: 0,
    trouble: undefined,
    lifetimeSeconds: undefined,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return sts;
}

/** The limits of the API reference. */
function faultOf(params: URLSearchParams): string | undefined {
  const get = (name: string) => params.get(name) ?? '';
  if (get('Action') !== 'AssumeRoleWithWebIdentity' || get('Version') !== '2011-06-15') return 'Action or Version';
  if (!/^arn:[\w-]+:iam::\d{12}:role\/.+$/.test(get('RoleArn')) || get('RoleArn').length > 2048) return 'RoleArn';
  if (!/^[\w+=,.@-]{2,64}$/.test(get('RoleSessionName'))) return 'RoleSessionName';
  const seconds = Number(get('DurationSeconds'));
  if (!Number.isInteger(seconds) || seconds < 900 || seconds > 43_200) return 'DurationSeconds';
  if (get('WebIdentityToken').length < 4 || get('WebIdentityToken').length > 20_000) return 'WebIdentityToken';
  if (new Set(params.keys()).size !== 6) return 'other parameters';
  return undefined;
}

function assumedRole(params: URLSearchParams): AssumedRole {
  const get = (name: string) => params.get(name) as string;
  return {
    roleArn: get('RoleArn'),
    sessionName: get('RoleSessionName'),
    durationSeconds: Number(get('DurationSeconds')),
    token: get('WebIdentityToken'),
    accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64'),
    // Real ones hold `/`, `+` and `=`, and are about this long.
    sessionToken: randomBytes(700).toString('base64'),
  };
}

/** A good answer, in the form that AWS documents. */
export function stsAnswer(
  role: Pick<AssumedRole, 'roleArn' | 'sessionName' | 'accessKeyId' | 'secretAccessKey' | 'sessionToken'>,
  expiresMs: number,
): string {
  const expiration = new Date(expiresMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>subject</SubjectFromWebIdentityToken>
    <Audience>audience</Audience>
    <AssumedRoleUser>
      <Arn>${role.roleArn.replace(':iam:', ':sts:')}/${role.sessionName}</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:${role.sessionName}</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>${role.accessKeyId}</AccessKeyId>
      <SecretAccessKey>${role.secretAccessKey}</SecretAccessKey>
      <SessionToken>${role.sessionToken}</SessionToken>
      <Expiration>${expiration}</Expiration>
    </Credentials>
    <Provider>arn:aws:iam::123456789012:oidc-provider/idp.example.com</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata>
    <RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId>
  </ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>
`;
}

export function stsError(code: string, message = 'words of AWS'): string {
  return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error>
    <Type>Sender</Type>
    <Code>${code}</Code>
    <Message>${message}</Message>
  </Error>
  <RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId>
</ErrorResponse>
`;
}
