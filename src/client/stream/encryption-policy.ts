// Whether connections are encrypted: never; where the other side wants it so; always.

export const ENCRYPTION_POLICIES = ["disabled", "enabled", "required"] as const;
export type EncryptionPolicy = (typeof ENCRYPTION_POLICIES)[number];
