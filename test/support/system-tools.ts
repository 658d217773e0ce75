import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Runs a tool to its end; throws what it says where it fails. */
export function tool(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The same where it may fail. */
export function attempt(program: string, ...args: readonly string[]): void {
  try {
    tool(program, ...args);
  } catch {
    // What is not there needs no taking down.
  }
}

/** A socket is nothing that a copy could have. */
export const withoutSockets = (path: string): boolean => !path.endsWith('.sock');

/** Why something that only root may do cannot be done. */
export function withoutRoot(): string | undefined {
  return process.getuid?.() === 0 ? undefined : 'needs root';
}

/** Why a tool cannot be used, or does not do what it is there for. */
export function withoutTool(program: string, ...probe: readonly string[]): string | undefined {
  try {
    tool(program, ...probe);
    return undefined;
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return missing ? `needs ${program}` : `${program} may not do it here`;
  }
}

const FAKETIME = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib',
  '/usr/local/lib',
].map((folder) => `${folder}/faketime/libfaketimeMT.so.1`);

/** Where the library is that gives a process another time. */
export const faketimeLibrary = (): string | undefined => FAKETIME.find((path) => existsSync(path));
