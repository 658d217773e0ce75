import type { AdminConnection } from './admin-connection.js';
import type { ContextFile } from './context-file.js';
import type { Terminal } from './output/terminal.js';

/** What every command gets: where to print, how to reach the federation, and the file with contexts and authors. */
export interface Session {
  readonly terminal: Terminal;
  readonly contextPath: string;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  contextFile(): Promise<ContextFile>;
  saveContextFile(file: ContextFile): Promise<void>;
  /** Connects on first use; closed by the program when the command ends. */
  admin(): Promise<AdminConnection>;
}
