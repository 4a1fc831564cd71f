import { readFileSync } from 'node:fs';
import type { Http2SecureServer } from 'node:http2';
import type { Log } from '../core/ports.ts';

export interface GrpcTls {
  /** PEM files; read again when they change. */
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
}

interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

/** @throws when a file cannot be read */
export function readTls(tls: GrpcTls): TlsFiles & { readonly minVersion: 'TLSv1.2' } {
  return {
    cert: readFileSync(tls.cert),
    key: readFileSync(tls.key),
    ca: readFileSync(tls.clientCa),
    minVersion: 'TLSv1.2',
  };
}

/**
 * New handshakes use the files as they are now; connections that are open stay. Files that do not fit together, as
 * between the renaming of two, change nothing. They are read again and again: certificate managers replace files by
 * renaming, which watchers miss.
 * @returns what ends it
 */
export function keepTlsFresh(server: Http2SecureServer, tls: GrpcTls, rereadMs: number, log: Log): () => void {
  let used = readTls(tls);
  const timer = setInterval(() => {
    try {
      const found = readTls(tls);
      if (found.cert.equals(used.cert) && found.key.equals(used.key) && found.ca.equals(used.ca)) return;
      server.setSecureContext(found);
      used = found;
      log.info('the gRPC listener uses new certificates');
    } catch (error) {
      log.error('the new certificates of the gRPC listener cannot be used; the old ones stay', {
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }, rereadMs);
  timer.unref();
  return () => clearInterval(timer);
}
