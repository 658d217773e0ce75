import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const MOST_OUTPUT = 256 * 1024 * 1024;

/** Runs a program to its end and gives what it prints. Rejects with what it says where it fails. */
export async function output(program: string, args: readonly string[], cwd?: string): Promise<Buffer> {
  const { stdout } = await promisify(execFile)(program, args, {
    ...(cwd !== undefined && { cwd }),
    encoding: 'buffer',
    maxBuffer: MOST_OUTPUT,
  });
  return stdout;
}
