// Whether connections are encrypted: never; where the other side wants it so; always.

/** All policies of message stream encryption. */
export const ENCRYPTION_POLICIES = ["disabled", "enabled", "required"] as const;
/** Whether connections are encrypted: never, as the other side likes, or always. */
export type EncryptionPolicy = (typeof ENCRYPTION_POLICIES)[number];
