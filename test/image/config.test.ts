import { expect, test } from 'vitest';
import { imageConfig } from '../../build/image/config.ts';
import type { ImageConfig } from '../../build/registry/oci.ts';
import { samplePlan } from '../verify/sample-plan.ts';

const plan = samplePlan({ arch: 'arm64', epoch: 1_767_225_600 });
const layers = [
  { diffId: `sha256:${'1'.repeat(64)}`, about: 'Python' },
  { diffId: `sha256:${'2'.repeat(64)}`, about: 'pip' },
];
const base: ImageConfig = {
  architecture: 'arm64',
  variant: 'v8',
  os: 'linux',
  author: 'somebody',
  config: {
    User: '1000',
    Env: ['PATH=/usr/bin:/var/lang/bin', 'LANG=C', 'EMPTY=', 'EQUALS=a=b'],
    Cmd: ['bash'],
    Entrypoint: ['/x'],
    WorkingDir: '/x',
    Labels: { vendor: 'x', 'org.opencontainers.image.title': 'theirs' },
    ExposedPorts: { '80/tcp': {} },
  },
  rootfs: { type: 'layers', diff_ids: [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`] },
  history: [{ created_by: 'ADD' }, { created_by: 'ENV', empty_layer: true }, { created_by: 'COPY' }],
};
const digest = `sha256:${'d'.repeat(64)}`;

test('from scratch: the environment of AWS’s own image', () => {
  expect(imageConfig(plan, undefined, layers)).toMatchInlineSnapshot(`
    {
      "architecture": "arm64",
      "config": {
        "Entrypoint": [
          "/lambda-entrypoint.sh",
        ],
        "Env": [
          "LANG=en_US.UTF-8",
          "TZ=:/etc/localtime",
          "PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
          "LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
          "LAMBDA_TASK_ROOT=/var/task",
          "LAMBDA_RUNTIME_DIR=/var/runtime",
        ],
        "Labels": {
          "make-runtime.plan": "0123456789abcdef",
          "org.opencontainers.image.title": "python3.13-x86_64-fast",
          "org.opencontainers.image.version": "3.13.0",
        },
        "WorkingDir": "/var/task",
      },
      "created": "2026-01-01T00:00:00Z",
      "history": [
        {
          "created": "2026-01-01T00:00:00Z",
          "created_by": "make-runtime image: Python",
        },
        {
          "created": "2026-01-01T00:00:00Z",
          "created_by": "make-runtime image: pip",
        },
      ],
      "os": "linux",
      "rootfs": {
        "diff_ids": [
          "sha256:1111111111111111111111111111111111111111111111111111111111111111",
          "sha256:2222222222222222222222222222222222222222222222222222222222222222",
        ],
        "type": "layers",
      },
      "variant": "v8",
    }
  `);
});

test('on a base: what it sets stays, what starts a runtime is ours', () => {
  const made = imageConfig(plan, { config: base, digest, layers: 2 }, layers);
  expect(made).toMatchObject({ architecture: 'arm64', variant: 'v8', os: 'linux' });
  expect(made.config).toEqual({
    User: '1000',
    Env: [
      'PATH=/var/lang/bin:/usr/bin',
      'LANG=C',
      'EMPTY=',
      'EQUALS=a=b',
      'TZ=:/etc/localtime',
      expect.stringMatching(/^LD_LIBRARY_PATH=/),
      'LAMBDA_TASK_ROOT=/var/task',
      'LAMBDA_RUNTIME_DIR=/var/runtime',
    ],
    Entrypoint: ['/lambda-entrypoint.sh'],
    WorkingDir: '/var/task',
    ExposedPorts: { '80/tcp': {} },
    Labels: expect.objectContaining({
      vendor: 'x',
      'org.opencontainers.image.title': plan.name,
      'org.opencontainers.image.base.digest': digest,
      'make-runtime.plan': plan.id,
    }),
  });
  expect(made.rootfs.diff_ids).toEqual([...base.rootfs.diff_ids, ...layers.map(({ diffId }) => diffId)]);
});

test.each([
  ['as it is', base.history, 5],
  ['missing', undefined, 4],
  ['null, as some tools write it', null, 4],
  ['of another image', [{ created_by: 'ADD' }], 4],
])('a history that is %s ends as one row for each layer', (_, history, rows) => {
  const config: ImageConfig = { ...base };
  if (history === undefined) delete config.history;
  else config.history = history;
  const made = imageConfig(plan, { config, digest, layers: 2 }, layers);
  expect(made.history).toHaveLength(rows);
  expect(made.history?.filter(({ empty_layer }) => !empty_layer)).toHaveLength(made.rootfs.diff_ids.length);
});
