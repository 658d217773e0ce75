/** One request that the API answered. */
export interface LoggedRequest {
  readonly at: number;
  /** Address that it came from. */
  readonly from: string;
  readonly userAgent: string;
  readonly verb: string;
  readonly path: string;
  readonly query: string;
  readonly code: number;
}

/** What was asked of the API, and who opened a connection to it, asked or not. */
export class RequestLog {
  readonly requests: LoggedRequest[] = [];
  readonly #connections = new Set<string>();

  add(request: LoggedRequest): void {
    this.requests.push(request);
  }

  connected(from: string): void {
    this.#connections.add(from);
  }

  /** Addresses that connected, each once. */
  get connections(): readonly string[] {
    return [...this.#connections];
  }

  /** For people: one line a request. */
  text(): string {
    return this.requests
      .map(({ verb, path, query, code, userAgent }) => {
        const [program = ''] = userAgent.split(' ');
        return `${String(code)} ${verb} ${path}${query === '' ? '' : `?${query}`} ${program}`;
      })
      .join('\n');
  }
}
