import {
  credentials,
  logVerbosity,
  setLogVerbosity,
  type ChannelCredentials,
  type ChannelOptions,
} from '@grpc/grpc-js';
import { channelOptions, Enrolment, Fleet, Ledger, serverNameOptions } from '@tributary/proto/grpc';

import { bypassesProxy, formatAddress, parseAddress, type Address } from '../../domain/address.js';
import type { EgressMeter } from '../../egress-ports.js';
import type { ChannelIdentity, Dialer, EnrolmentClient, FleetClient } from '../../ports.js';
import { openSocket, proxyCredentials, type Proxy } from '../tls/connect-tunnel.js';
import type { SocketMeter } from '../tls/socket-meter.js';
import { presentedChain } from '../tls/presented-chain.js';
import { pem } from '../tls/tls-keys.js';
import { EnrolmentChannel } from './enrolment-channel.js';
import { FleetChannel } from './fleet-channel.js';

export interface DialerOptions {
  /** The proxy with its present password; read anew for each channel. */
  readonly proxy: () => Promise<Proxy | undefined>;
  readonly noProxy: readonly string[];
  /** PEM of certificate authorities that are trusted besides the coordinator's own. */
  readonly bundle: string | undefined;
  readonly egress: EgressMeter;
  /** Told of each port that is dialled. */
  readonly sockets: Pick<SocketMeter, 'watch'>;
}

interface Target {
  readonly address: string;
  readonly options: ChannelOptions;
}

/** Channels of grpc-js. The proxy is set per channel, so that nothing depends on variables of the environment. */
export class GrpcDialer implements Dialer {
  readonly #options: DialerOptions;

  constructor(options: DialerOptions) {
    this.#options = options;
    // grpc-js writes to standard error by itself; what it says there reaches us as errors of calls.
    setLogVerbosity(logVerbosity.NONE);
  }

  get hasBundle(): boolean {
    return this.#options.bundle !== undefined;
  }

  async presentedChain(address: string): Promise<readonly Uint8Array[]> {
    const target = parseAddress(address, 'address');
    return presentedChain(target, await openSocket(target, await this.#proxyFor(target)));
  }

  async enrolment(address: string, identity: Partial<ChannelIdentity>): Promise<EnrolmentClient> {
    const target = await this.#target(address);
    return new EnrolmentChannel(
      new Enrolment(target.address, this.#credentials(identity), target.options),
      this.#options.egress,
    );
  }

  async fleet(address: string, identity: ChannelIdentity): Promise<FleetClient> {
    const target = await this.#target(address);
    const fleet = new Fleet(target.address, this.#credentials(identity), target.options);
    const ledger = new Ledger(target.address, this.#credentials(identity), {
      ...target.options,
      channelOverride: fleet.getChannel(),
    });
    return new FleetChannel(fleet, ledger, this.#options.egress);
  }

  async diagnose(address: string): Promise<Error | undefined> {
    const target = parseAddress(address, 'address');
    const proxy = await this.#proxyFor(target);
    if (proxy === undefined) return undefined;
    try {
      (await openSocket(target, proxy)).destroy();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : undefined;
    }
  }

  async #proxyFor(target: Address): Promise<Proxy | undefined> {
    const direct = bypassesProxy(target.host, this.#options.noProxy);
    const proxy = direct ? undefined : await this.#options.proxy();
    this.#options.sockets.watch((proxy ?? target).port);
    return proxy;
  }

  async #target(address: string): Promise<Target> {
    const target = parseAddress(address, 'address');
    const name = formatAddress(target);
    const proxy = await this.#proxyFor(target);
    // The variables that grpc-js reads by itself (grpc_proxy and others) are config.ts's business.
    const own = { 'grpc.enable_http_proxy': 0, ...serverNameOptions(target.host) };
    if (proxy === undefined) return { address: name, options: channelOptions(own) };
    const userInfo = proxyCredentials(proxy);
    const options = channelOptions({
      ...own,
      'grpc.http_connect_target': `dns:${name}`,
      'grpc.default_authority': name,
      ...(userInfo === undefined ? {} : { 'grpc.http_connect_creds': userInfo }),
    });
    return { address: `dns:${formatAddress(proxy)}`, options };
  }

  #credentials({ authority, client }: Partial<ChannelIdentity>): ChannelCredentials {
    const own = authority === undefined ? '' : pem('CERTIFICATE', authority);
    const roots = Buffer.from(own + (this.#options.bundle ?? ''));
    if (client === undefined) return credentials.createSsl(roots);
    const key = Buffer.from(pem('PRIVATE KEY', client.privateKey));
    return credentials.createSsl(roots, key, Buffer.from(pem('CERTIFICATE', client.certificate)));
  }
}
