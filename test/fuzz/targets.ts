import type { Target } from './target.ts';
import { CONFIG_TARGETS } from './targets-config.ts';
import { CREDENTIAL_TARGETS } from './targets-credentials.ts';
import { DECISION_TARGETS } from './targets-decision.ts';
import { MCP_TARGETS } from './targets-mcp.ts';
import { OAUTH_TARGETS } from './targets-oauth.ts';
import { SEALED_TARGETS } from './targets-sealed.ts';
import { WIRE_TARGETS } from './targets-wire.ts';

/** Every parser of what outsiders control. */
export const TARGETS: readonly Target[] = [
  ...WIRE_TARGETS,
  ...MCP_TARGETS,
  ...CREDENTIAL_TARGETS,
  ...SEALED_TARGETS,
  ...OAUTH_TARGETS,
  ...CONFIG_TARGETS,
  ...DECISION_TARGETS,
];
