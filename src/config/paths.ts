import { accessSync, constants } from 'node:fs';
import { resolve } from 'node:path';
import type { Problem } from '../core/problem.ts';
import type { Config } from './schema.ts';

/** The config with every path made absolute; relative ones start at the folder of the config file. */
export function withAbsolutePaths(config: Config, folder: string): Config {
  const { server, envoy, vault, audit } = config;
  const absolute = (path: string) => resolve(folder, path);
  const after = (prefix: string, text: string) =>
    text.startsWith(prefix) ? prefix + absolute(text.slice(prefix.length)) : text;
  const tls = server.grpcTls;
  return {
    ...config,
    server: tls
      ? { ...server, grpcTls: { cert: absolute(tls.cert), key: absolute(tls.key), clientCa: absolute(tls.clientCa) } }
      : server,
    envoy: envoy.bootstrap === undefined ? envoy : { ...envoy, bootstrap: absolute(envoy.bootstrap) },
    vault: { ...vault, store: after('sqlite:', vault.store) },
    audit: { ...audit, destination: after('file:', audit.destination) },
  };
}

/** Files of the gRPC listener's certificate that cannot be read. */
export function tlsFileProblems(config: Config): Problem[] {
  return Object.entries(config.server.grpcTls ?? {}).flatMap(([key, file]): Problem[] => {
    try {
      accessSync(file, constants.R_OK);
      return [];
    } catch (error) {
      const message = `the file ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`;
      return [
        {
          code: 'FILE',
          severity: 'error',
          file: '',
          path: ['server', 'grpcTls', key],
          message,
          mend: 'name a file that exists and that this user may read',
        },
      ];
    }
  });
}
