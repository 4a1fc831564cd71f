import { z } from 'zod';

export const auditSchema = z.strictObject({
  destination: z
    .string()
    .regex(/^(stdout|file:.+)$/, 'must be stdout or file:PATH')
    .default('stdout'),
});

export const logSchema = z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') });
