// The name of an environment's log stream, as CloudWatch has it. Knows the time; no two environments share one.
import { randomBytes } from 'node:crypto';

export function newLogStream(functionVersion: string): string {
  const today = new Date().toISOString().slice(0, 10).replaceAll('-', '/');
  return `${today}/[${functionVersion}]${randomBytes(16).toString('hex')}`;
}
