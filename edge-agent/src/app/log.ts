/** Fields of a log line: codes, names, ids and numbers; never a tensor, a token, a key or a record. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** The log of the daemon: a constant message and fields. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}
