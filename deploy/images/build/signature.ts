import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

import { IMAGE_NAME, REF_NAME, TYPES, type Descriptor, type Layout, type Manifest } from './layout.js';

/**
 * Signatures as cosign keeps them in a registry: an image of its own under the tag `sha256-DIGEST.sig`, whose layer is a
 * "simple signing" statement about the digest, with the signature as an annotation.
 */
const STATEMENT_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
const SIGNATURE = 'dev.cosignproject.cosign/signature';

interface Statement {
  readonly critical: {
    readonly identity: { readonly 'docker-reference': string };
    readonly image: { readonly 'docker-manifest-digest': string };
    readonly type: string;
  };
  /** Annotations of cosign: the tag, which the rest of a statement does not bind. */
  readonly optional: { readonly tag: string } | null;
}

/** Under which name and tag the image of a layout is imported. */
interface ImageReference {
  readonly repository: string;
  readonly tag: string;
}

const tagOf = (digest: string): string => `${digest.replace(':', '-')}.sig`;

/** Ed25519 signs what is said itself, ECDSA its SHA-256. Throws for another key: cosign would not take it either. */
function digestFor(key: KeyObject): string | null {
  if (key.asymmetricKeyType === 'ed25519') return null;
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1')
    return 'sha256';
  throw new Error('the key is neither Ed25519 nor ECDSA on P-256');
}

const isSignature = ({ annotations }: Descriptor): boolean =>
  annotations?.[REF_NAME]?.endsWith('.sig') === true;

/** What has to be signed: the image, and what is attached to it. */
const signable = (manifests: readonly Descriptor[]): readonly Descriptor[] =>
  manifests.filter((manifest) => !isSignature(manifest));

/** Throws where tools that go by the tag would find another image than those that go by the whole name. */
function referenceOf({ annotations }: Descriptor): ImageReference {
  const name = annotations?.[IMAGE_NAME] ?? '';
  const [, repository, tag] = /^(.+):([^:/]+)$/.exec(name) ?? [];
  if (repository === undefined || tag === undefined)
    throw new Error(`the image is named ${JSON.stringify(name)}: REPOSITORY:TAG is needed`);
  if (annotations?.[REF_NAME] !== tag)
    throw new Error(`the image is named ${name}, but has the tag ${String(annotations?.[REF_NAME])}`);
  return { repository, tag };
}

/** Signs the image of a layout and its bills of materials with a private key, in place of signatures that are there. */
export async function signLayout(layout: Layout, key: KeyObject): Promise<void> {
  const image = await layout.image();
  const { repository, tag } = referenceOf(image);
  const things = signable((await layout.index()).manifests);
  const signatures: Descriptor[] = [];
  for (const { digest } of things) {
    const statement: Statement = {
      critical: {
        identity: { 'docker-reference': repository },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: { tag },
    };
    const bytes = Buffer.from(JSON.stringify(statement));
    const signature = sign(digestFor(key), bytes, key).toString('base64');
    const layer = await layout.put(STATEMENT_TYPE, bytes);
    const config = await layout.putJson(TYPES.config, {
      architecture: '',
      os: '',
      config: {},
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    });
    const manifest = await layout.putJson(TYPES.manifest, {
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      config,
      layers: [{ ...layer, annotations: { [SIGNATURE]: signature } }],
    });
    signatures.push({ ...manifest, annotations: { [REF_NAME]: tagOf(digest) } });
  }
  await layout.setManifests([...things, ...signatures]);
}

/**
 * Holds every blob to which the index of a layout leads against its digest, and its image and what is attached to that
 * against signatures by `key` of their digests, and of the name and tag that the image has. Rejects with what is wrong, and
 * where the index names anything else; what nothing leads to, such as blobs of older signatures, is not read, here or by
 * tools. Resolves with REPOSITORY:TAG@DIGEST.
 */
export async function verifyLayout(layout: Layout, key: KeyObject): Promise<string> {
  const { manifests } = await layout.index();
  const image = await layout.image();
  // Before anything is taken for a signature: an image under the tag of one would need none.
  if (isSignature(image)) throw new Error(`${image.digest} is not signed: it has the tag of a signature`);
  const reference = referenceOf(image);
  const things = signable(manifests);
  await requireSignaturesOnly(layout, manifests.filter(isSignature), things);
  for (const thing of things) {
    if (thing.mediaType !== TYPES.index) requireAttached(thing);
    await verifySignature(layout, manifests, { thing, reference }, key);
    await layout.closure(thing);
  }
  return `${reference.repository}:${reference.tag}@${image.digest}`;
}

/** Rejects where something under the tag of a signature is none, or is of nothing that is here. */
async function requireSignaturesOnly(
  layout: Layout,
  signatures: readonly Descriptor[],
  things: readonly Descriptor[],
): Promise<void> {
  const free = new Set(things.map(({ digest }) => tagOf(digest)));
  for (const signature of signatures) {
    const { mediaType, digest, annotations } = signature;
    const tag = annotations?.[REF_NAME] ?? '';
    if (!free.delete(tag)) throw new Error(`${tag}: a signature of nothing in this layout, or a second one`);
    if (mediaType !== TYPES.manifest || annotations?.[IMAGE_NAME] !== undefined)
      throw new Error(`${tag}: ${digest} is no signature`);
    await layout.closure(signature);
    const { layers } = await layout.readJson<Manifest>(signature);
    if (layers.some((layer) => layer.mediaType !== STATEMENT_TYPE))
      throw new Error(`${tag}: ${digest} has layers that are no statements`);
  }
}

/** Throws where a tool would take what is attached for an image. */
function requireAttached({ digest, mediaType, annotations }: Descriptor): void {
  if (mediaType !== TYPES.manifest) throw new Error(`${digest} is of type ${mediaType}`);
  if (annotations?.[IMAGE_NAME] !== undefined || annotations?.[REF_NAME] !== undefined)
    throw new Error(`${digest} has a name, though it is not the image`);
}

/** What `key` signed of a signature's layers. */
async function statementsBy(
  layout: Layout,
  signature: Descriptor,
  key: KeyObject,
): Promise<readonly Statement[]> {
  const statements: Statement[] = [];
  for (const layer of (await layout.readJson<Manifest>(signature)).layers) {
    const bytes = await layout.read(layer);
    const found = Buffer.from(layer.annotations?.[SIGNATURE] ?? '', 'base64');
    if (verify(digestFor(key), bytes, key, found)) statements.push(JSON.parse(bytes.toString()) as Statement);
  }
  return statements;
}

async function verifySignature(
  layout: Layout,
  manifests: readonly Descriptor[],
  { thing: { digest }, reference }: { readonly thing: Descriptor; readonly reference: ImageReference },
  key: KeyObject,
): Promise<void> {
  const found = manifests.find(({ annotations }) => annotations?.[REF_NAME] === tagOf(digest));
  if (found === undefined) throw new Error(`${digest} is not signed`);
  let other: string | undefined;
  for (const { critical, optional } of await statementsBy(layout, found, key)) {
    if (critical.image['docker-manifest-digest'] !== digest) continue;
    const repository = critical.identity['docker-reference'];
    if (repository === reference.repository && optional?.tag === reference.tag) return;
    other = `${repository}:${optional?.tag ?? '(no tag)'}`;
  }
  if (other !== undefined)
    throw new Error(`${digest} is signed as ${other}, and named ${reference.repository}:${reference.tag}`);
  throw new Error(`no signature of ${digest} is by this key`);
}

/** The beginning of the digest of a public key, to tell keys apart by. */
export function fingerprint(key: KeyObject): string {
  const spki = (key.type === 'public' ? key : createPublicKey(key)).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 16);
}
