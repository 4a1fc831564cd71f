import { z } from 'zod';

export const auditSchema = z
  .strictObject({
    destination: z
      .string()
      .regex(/^(stdout|file:.+)$/, 'must be stdout or file:PATH')
      .default('stdout')
      .describe('One JSON line per decision goes here: stdout or file:PATH'),
  })
  .describe('The record of who did what');

export const logSchema = z
  .strictObject({
    level: z
      .enum(['debug', 'info', 'warn', 'error'])
      .default('info')
      .describe('Least level that is written, to stderr'),
  })
  .describe('What the service says of itself');
