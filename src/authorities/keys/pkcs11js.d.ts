// The part of pkcs11js that is used here. It is an optional dependency, built from source where there is
// a compiler; types are needed where there is none, too.
declare module 'pkcs11js' {
  type Attribute = {
    readonly type: number
    readonly value?: number | boolean | string | Buffer
  }
  type Mechanism = { readonly mechanism: number }

  class PKCS11 {
    load(path: string): void
    C_Initialize(): void
    C_GetSlotList(tokenPresent: boolean): Buffer[]
    C_GetTokenInfo(slot: Buffer): { readonly label: string }
    C_OpenSession(slot: Buffer, flags: number): Buffer
    C_Login(session: Buffer, userType: number, pin: string): void
    C_CloseSession(session: Buffer): void
    C_FindObjectsInit(session: Buffer, template: readonly Attribute[]): void
    C_FindObjects(session: Buffer, count: number): Buffer[]
    C_FindObjectsFinal(session: Buffer): void
    C_GetAttributeValue(
      session: Buffer,
      object: Buffer,
      template: readonly Attribute[],
    ): { readonly type: number; readonly value: Buffer }[]
    C_GenerateKeyPairAsync(
      session: Buffer,
      mechanism: Mechanism,
      publicTemplate: readonly Attribute[],
      privateTemplate: readonly Attribute[],
    ): Promise<{ readonly publicKey: Buffer; readonly privateKey: Buffer }>
    C_SignInit(session: Buffer, mechanism: Mechanism, key: Buffer): void
    C_SignAsync(session: Buffer, data: Buffer, out: Buffer): Promise<Buffer>
  }

  const library: {
    readonly PKCS11: typeof PKCS11
    readonly [constant: `CK${string}`]: number
  }
  // biome-ignore lint/style/noDefaultExport: that is how import() shows a CommonJS library
  export default library
}
