/** Thrown by a port whose power is off. */
export class PowerOff extends Error {
  constructor() {
    super('power off');
  }
}

/**
 * The power supply of one incarnation of a process: when it fails, no port of that incarnation does anything any more,
 * as after kill -9. It can be set to fail at the n-th call of a port that changes something.
 */
export class Power {
  off = false;
  /** Changing calls so far. */
  calls = 0;
  readonly #failAt: number;

  /** `failAt`: the changing call, counted from 1, that is carried out and never answered; 0: none. */
  constructor(failAt = 0) {
    this.#failAt = failAt;
  }

  /** `port` as long as the power is on. Methods named in `changing` count. */
  wire<Port extends object>(port: Port, changing: readonly (keyof Port & string)[] = []): Port {
    return new Proxy(port, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (this.off) throw new PowerOff();
          const result: unknown = value.apply(target, args);
          return changing.some((one) => one === name) ? this.#count(result) : result;
        };
      },
    });
  }

  async #count(result: unknown): Promise<unknown> {
    this.calls += 1;
    const last = this.calls === this.#failAt;
    const value = await result;
    if (last) this.off = true;
    if (this.off) throw new PowerOff();
    return value;
  }
}
