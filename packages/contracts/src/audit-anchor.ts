/** The file that anchors the heads of the audit chains outside the database. */
import { z } from 'zod';

const anchorBody = z.object({
  version: z.literal(1),
  createdAt: z.string(),
  /** Cluster that the trail lived in; a restore raises it. */
  epoch: z.int(),
  heads: z.array(
    z.object({
      /** Organization id, or `system`. */
      chain: z.string(),
      sealNo: z.string().regex(/^\d+$/),
      /** Hex, as the signature. */
      hash: z.string(),
      keyId: z.string(),
      signature: z.string(),
    }),
  ),
});
export type AnchorBody = z.output<typeof anchorBody>;

/** `signature` is Ed25519 over the JSON text of the body, in hex. */
const anchorFile = z.object({ body: anchorBody, keyId: z.string(), signature: z.string() });
export type AnchorFile = z.output<typeof anchorFile>;

/** Null for a text that is no anchor. */
export function parseAnchor(text: string): AnchorFile | null {
  try {
    return anchorFile.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
