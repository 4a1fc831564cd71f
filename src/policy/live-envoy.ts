import { createHash } from 'node:crypto';
import { pathText, type Problem } from '../core/problem.ts';
import type { Tools } from '../core/ports.ts';
import { parseSource } from '../core/source-document.ts';
import { readEnvoyConfig } from './envoy-config/read.ts';
import type { Limits } from './envoy-rules/context.ts';
import type { RoutePolicy } from './route-policy.ts';
import { type EnvoyValidation, type Proof, validateEnvoy } from './validate-envoy.ts';
import type { World } from './world.ts';

export interface LiveEnvoyParts {
  /** What the bootstrap file proved before start. */
  readonly start: Pick<EnvoyValidation, 'policies' | 'proofs'>;
  /** The answer of the running Envoy's `/config_dump`; undefined where `envoy.admin` is not configured. */
  readonly fetchDump: ((signal: AbortSignal) => Promise<string>) | undefined;
  /** What the running Envoy said before: until it answers again, that is what it runs. */
  readonly seen?: string | undefined;
  readonly world: World;
  readonly limits: Limits;
  /** Told when what is known has changed. */
  readonly onChange: (policies: readonly RoutePolicy[]) => void;
  readonly tools: Tools;
}

/** How often the running Envoy is asked, in milliseconds. */
const INTERVAL_MS = 5_000;
/** How soon it is asked after a request came by a policy that nobody has seen, in milliseconds. */
const SOON_MS = 200;
/** Problems of one dump that are logged one by one. */
const MAX_LOGGED = 50;

/**
 * What is known of the routes Envoy really runs. A dump takes the place of what the bootstrap file said; while Envoy's
 * admin address does not answer, what was known last stays. One bad live route is refused, the others go on.
 */
export class LiveEnvoy {
  readonly #parts: LiveEnvoyParts;
  #proofs: ReadonlyMap<string, Proof>;
  #digest = '';
  #seen: string | undefined;
  #reachable = false;
  #errors: readonly Problem[] = [];
  #counts = { error: 0, warning: 0 };
  #timer: NodeJS.Timeout | undefined;
  #nextAtMs = 0;
  #looking: Promise<void> | undefined;
  readonly #closed = new AbortController();

  constructor(parts: LiveEnvoyParts) {
    this.#parts = parts;
    this.#proofs = parts.start.proofs;
    const { metrics } = parts.tools;
    for (const severity of ['error', 'warning'] as const) {
      metrics.gauge(
        'mcp_identity_envoy_problems',
        'Problems in the configuration that Envoy runs',
        () => this.#counts[severity],
        { severity },
      );
    }
    metrics.gauge('mcp_identity_envoy_admin_up', '1 while the admin address of Envoy answers', () =>
      this.#reachable ? 1 : 0,
    );
  }

  /** The last dump, for whoever comes after. */
  get seen(): string | undefined {
    return this.#seen;
  }

  /** What is wrong with what the running Envoy said last. */
  get errors(): readonly Problem[] {
    return this.#errors;
  }

  proofOf(canonical: string): Proof | undefined {
    const proof = this.#proofs.get(canonical);
    if (!proof && this.#parts.fetchDump) this.#plan(SOON_MS);
    return proof;
  }

  /** Looks once, then again and again until `close`. Never throws: an Envoy that is not up yet is looked for later. */
  async watch(): Promise<void> {
    if (!this.#parts.fetchDump) return;
    const { seen } = this.#parts;
    if (seen !== undefined && this.#seen === undefined) {
      this.#seen = seen;
      this.#learn(seen);
    }
    // One look at a time: an answer that comes late must not take a newer one's place.
    this.#looking ??= this.#look(this.#parts.fetchDump).finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
    if (!this.#closed.signal.aborted) this.#plan(INTERVAL_MS);
  }

  close(): void {
    this.#closed.abort();
    clearTimeout(this.#timer);
  }

  #plan(delayMs: number): void {
    const atMs = this.#parts.tools.clock.nowMs() + delayMs;
    if (this.#closed.signal.aborted || (this.#timer && this.#nextAtMs <= atMs)) return;
    clearTimeout(this.#timer);
    this.#nextAtMs = atMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.watch();
    }, delayMs).unref();
  }

  async #look(fetchDump: (signal: AbortSignal) => Promise<string>): Promise<void> {
    const { log } = this.#parts.tools;
    try {
      const text = await fetchDump(this.#closed.signal);
      if (!this.#reachable) log.info('the running Envoy answers');
      this.#reachable = true;
      const digest = createHash('sha256').update(text).digest('base64');
      if (digest === this.#digest) return;
      this.#digest = digest;
      this.#seen = text;
      this.#learn(text);
    } catch (error) {
      if (this.#reachable || this.#digest === '') {
        log.warn('the admin address of Envoy does not answer; what was known of its routes stays', {
          error: error instanceof Error ? error.message : String(error),
        });
      }
      this.#reachable = false;
    }
  }

  #learn(text: string): void {
    const { world, limits, onChange } = this.#parts;
    // Without line breaks nobody asks for lines, which would cost far more than the check.
    const read = parseSource('config_dump', text.replaceAll('\n', ' '), 'envoy');
    const model = read.ok ? readEnvoyConfig(read.document) : read.problems[0];
    if (!model || 'code' in model) {
      this.#report(model ? [model] : []);
      return;
    }
    const { problems, proofs, policies } = validateEnvoy(model, world, limits);
    this.#proofs = proofs;
    this.#report(problems);
    onChange(policies);
  }

  #report(problems: readonly Problem[]): void {
    const { log } = this.#parts.tools;
    const errors = problems.filter((problem) => problem.severity === 'error');
    this.#errors = errors;
    this.#counts = { error: errors.length, warning: problems.length - errors.length };
    for (const { code, path, message, mend } of errors.slice(0, MAX_LOGGED))
      log.error('Envoy runs a faulty configuration', { code, path: pathText(path), problem: message, mend });
    log.info('the configuration that Envoy runs was checked', {
      errors: errors.length,
      warnings: this.#counts.warning,
    });
  }
}
