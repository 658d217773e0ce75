import { connect } from 'node:net';

import { Client, credentials } from '@grpc/grpc-js';

import { field, textAt } from '../../kube/field.js';
import type { KubeObject } from '../objects.js';
import { podPort } from '../controllers/services.js';
import type { RunningContainer } from './runtime.js';

/** What is asked of a container: gives whether it is well. */
export type Prober = (pod: KubeObject, probe: unknown, running: RunningContainer) => Promise<boolean>;

/** For containers that are pretended. */
export const alwaysWell: Prober = () => Promise.resolve(true);

/** Asks over the network or inside the container, as the kubelet does. */
export const realProber: Prober = async (pod, probe, running) => {
  const timeoutMs = Number(field(probe, 'timeoutSeconds') ?? 1) * 1_000;
  const host = String(field(pod, 'status', 'podIP'));
  const port = (way: string): number => podPort(pod, field(probe, way, 'port')) ?? 0;
  const command = field(probe, 'exec', 'command');
  if (Array.isArray(command)) return (await running.exec(...command.map(String))).code === 0;
  if (field(probe, 'grpc') !== undefined)
    return isServing(`${host}:${String(port('grpc'))}`, textAt(probe, 'grpc', 'service'), timeoutMs);
  if (field(probe, 'httpGet') !== undefined) {
    const scheme = (textAt(probe, 'httpGet', 'scheme') || 'http').toLowerCase();
    const url = `${scheme}://${host}:${String(port('httpGet'))}${textAt(probe, 'httpGet', 'path') || '/'}`;
    return fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).then(
      ({ status }) => status >= 200 && status < 400,
      () => false,
    );
  }
  return canDial(host, port('tcpSocket'), timeoutMs);
};

function canDial(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const end = (well: boolean): void => {
      socket.destroy();
      resolve(well);
    };
    socket.setTimeout(timeoutMs, () => end(false));
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}

const SERVING = 1;

/** grpc.health.v1.Health/Check: one string in, one enum out, so that no schema is needed. */
function isServing(address: string, service: string, timeoutMs: number): Promise<boolean> {
  const client = new Client(address, credentials.createInsecure());
  const name = Buffer.from(service);
  const request = Buffer.concat([Buffer.from(name.length === 0 ? [] : [0x0a, name.length]), name]);
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      (message: Buffer) => message,
      (message: Buffer) => message,
      request,
      { deadline: Date.now() + timeoutMs },
      (error: Error | null, answer?: Buffer) => {
        client.close();
        resolve(error === null && answer?.[0] === 0x08 && answer[1] === SERVING);
      },
    );
  });
}
