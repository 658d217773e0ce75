import 'reflect-metadata';

import { webcrypto } from 'node:crypto';

import { Pkcs10CertificateRequestGenerator, PemConverter, X509Certificate } from '@peculiar/x509';
import { TributaryError } from '@tributary/proto';

import { findContext, withContext } from '../context-file.js';
import { tableLines } from '../output/table.js';
import type { Session } from '../session.js';

export const ROLES = ['admin', 'viewer'] as const;
export type Role = (typeof ROLES)[number];

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export async function listContexts(session: Session): Promise<void> {
  const file = await session.contextFile();
  const columns = [
    {
      title: 'CURRENT',
      cell: (context: { name: string }) => (context.name === file.currentContext ? '*' : ''),
    },
    { title: 'NAME', cell: (context: { name: string }) => context.name },
    { title: 'SERVER', cell: (context: { server: string }) => context.server },
  ];
  for (const line of tableLines(columns, file.contexts)) session.terminal.out(line);
}

export async function useContext(session: Session, name: string): Promise<void> {
  const file = await session.contextFile();
  await session.saveContextFile({ ...file, currentContext: findContext(file, name).name });
  session.terminal.out(`context ${name} is current`);
}

/** Cuts a context off; the entry in the file stays, since others may hold it too. */
export async function revokeContext(session: Session, name: string): Promise<void> {
  await (await session.admin()).unary('RevokeContext', { name });
  session.terminal.out(`context ${name} revoked`);
}

/** Makes a key here, has the coordinator certify it for `role`, and adds the context to the file. */
export async function createContext(session: Session, name: string, role: Role): Promise<void> {
  const file = await session.contextFile();
  if (file.contexts.some((context) => context.name === name))
    throw new TributaryError('ALREADY_EXISTS', `a context named ${name} exists`);
  const { server } = findContext(file, undefined);
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: P256,
  });
  const admin = await session.admin();
  const issued = await admin.unary('CreateContext', { name, role, csr: Buffer.from(request.rawData) });
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  const ca = new X509Certificate(issued.caCertificate).toString('pem');
  const certificate = new X509Certificate(issued.certificate).toString('pem');
  await session.saveContextFile({
    ...withContext(file, { name, server, ca, certificate, key }),
    currentContext: file.currentContext,
  });
  session.terminal.out(`context ${name} created with role ${role}`);
}
