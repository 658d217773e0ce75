/** Where bytes that leave are counted. */
export interface EgressMeter {
  /** Before they leave; with the job that they are for, where that is known. */
  count(kind: 'update' | 'control', bytes: number, jobId?: string): void;
}

/** What this process has written to the sockets of its coordinator. */
export interface SocketBytes {
  /** Bytes that the system has taken over: what waits in this process dies with it. */
  written(): bigint;
  /** Calls back after each turn of the event loop, and so soon after whatever was written in it, until the result is called. */
  turns(look: () => void): () => void;
}

/** A few bytes that outlive this process, though not the machine: writing them waits for no disk. */
export interface MeterFile {
  /** What was written last since the machine started; undefined where nothing was, or it is damaged. */
  read(): Uint8Array | undefined;
  write(bytes: Uint8Array): void;
}
