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
  readonly optional: null;
}

const tagOf = (digest: string): string => `${digest.replace(':', '-')}.sig`;

/** Ed25519 signs what is said itself, ECDSA its SHA-256. Throws for another key: cosign would not take it either. */
function digestFor(key: KeyObject): string | null {
  if (key.asymmetricKeyType === 'ed25519') return null;
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1')
    return 'sha256';
  throw new Error('the key is neither Ed25519 nor ECDSA on P-256');
}

/** What has to be signed: the image, and what is attached to it. */
const signable = (manifests: readonly Descriptor[]): readonly Descriptor[] =>
  manifests.filter(({ annotations }) => annotations?.[REF_NAME]?.endsWith('.sig') !== true);

/** Signs the image of a layout and its bills of materials with a private key, in place of signatures that are there. */
export async function signLayout(layout: Layout, key: KeyObject): Promise<void> {
  const image = await layout.image();
  const name = image.annotations?.[IMAGE_NAME] ?? '';
  const repository = name.slice(0, name.lastIndexOf(':'));
  const things = signable((await layout.index()).manifests);
  const signatures: Descriptor[] = [];
  for (const { digest } of things) {
    const statement: Statement = {
      critical: {
        identity: { 'docker-reference': repository },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: null,
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
 * Holds every blob of a layout against its digest, and the digests of its image and of what is attached to it against
 * signatures by `key`. Rejects with what is wrong. Resolves with the image's digest.
 */
export async function verifyLayout(layout: Layout, key: KeyObject): Promise<string> {
  const { manifests } = await layout.index();
  for (const thing of signable(manifests)) {
    await verifySignature(layout, manifests, thing, key);
    await layout.closure(thing);
  }
  return (await layout.image()).digest;
}

async function verifySignature(
  layout: Layout,
  manifests: readonly Descriptor[],
  { digest }: Descriptor,
  key: KeyObject,
): Promise<void> {
  const tag = tagOf(digest);
  const found = manifests.find(({ annotations }) => annotations?.[REF_NAME] === tag);
  if (found === undefined) throw new Error(`${digest} is not signed`);
  const { layers } = await layout.readJson<Manifest>(found);
  for (const layer of layers) {
    const signature = layer.annotations?.[SIGNATURE];
    if (layer.mediaType !== STATEMENT_TYPE || signature === undefined) continue;
    const bytes = await layout.read(layer);
    if (!verify(digestFor(key), bytes, key, Buffer.from(signature, 'base64'))) continue;
    const { critical } = JSON.parse(bytes.toString()) as Statement;
    if (critical.image['docker-manifest-digest'] === digest) return;
  }
  throw new Error(`no signature of ${digest} is by this key`);
}

/** The beginning of the digest of a public key, to tell keys apart by. */
export function fingerprint(key: KeyObject): string {
  const spki = (key.type === 'public' ? key : createPublicKey(key)).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 16);
}
