// The two families of media types that images come in. Apart from oci.ts, so that --help need not load a validator.

export const imageFormats = ['oci', 'docker'] as const;
export type ImageFormat = (typeof imageFormats)[number];
