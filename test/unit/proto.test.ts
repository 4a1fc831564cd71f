import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import protobuf from 'protobufjs';

const OURS = join(import.meta.dirname, '../../proto');
const MODULES = join(import.meta.dirname, '../../node_modules');
const DEPS = join(MODULES, '@grpc/grpc-js-xds/deps');
const OFFICIAL = [
  ...['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map((name) => join(DEPS, name)),
  join(MODULES, 'protobufjs'),
];
/** Not in the package that ships the official files; its facts are held by the last test. */
const WITHOUT_OFFICIAL = 'grpc/health/v1/health.proto';

const files = readdirSync(OURS, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.proto'));
const ours = load(files, [OURS]);
const official = load(
  files.filter((name) => name !== WITHOUT_OFFICIAL),
  OFFICIAL,
);

function load(names: string[], includeDirs: string[]): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) =>
    includeDirs.map((dir) => join(dir, target)).find((path) => existsSync(path)) ?? target;
  root.loadSync(names, { keepCase: true });
  return root.resolveAll() as protobuf.Root;
}

/** Every message, enum and service below `space`, by full name. */
function* definitions(space: protobuf.NamespaceBase): Generator<protobuf.ReflectionObject> {
  for (const item of space.nestedArray) {
    if (item instanceof protobuf.Type || item instanceof protobuf.Enum || item instanceof protobuf.Service) yield item;
    if (item instanceof protobuf.Namespace) yield* definitions(item);
  }
}

/** One line per fact: equal lines mean equal bytes on the wire and equal names. */
function facts(item: protobuf.ReflectionObject | null): string[] {
  if (item instanceof protobuf.Enum) return Object.entries(item.values).map(([name, number]) => `${name} = ${number}`);
  if (item instanceof protobuf.Service) {
    return item.methodsArray.map((method) => {
      const request = `${method.requestStream === true ? 'stream ' : ''}${method.resolvedRequestType?.fullName}`;
      return `${method.name}(${request}) ${method.responseStream === true ? 'stream ' : ''}${method.resolvedResponseType?.fullName}`;
    });
  }
  if (!(item instanceof protobuf.Type)) return [];
  return item.fieldsArray.map((field) => {
    const key = field instanceof protobuf.MapField ? `map by ${field.keyType} of ` : '';
    const label = field.repeated ? 'repeated ' : '';
    const presence = field.options?.['proto3_optional'] === true ? ' optional' : '';
    const kind =
      field.resolvedType === null
        ? field.type
        : `${field.resolvedType.constructor.name} ${field.resolvedType.fullName}`;
    return `${field.name} = ${field.id} ${key}${label}${kind} oneof=${field.partOf?.name ?? ''}${presence}`;
  });
}

const trimmed = [...definitions(ours)].filter(({ fullName }) => !fullName.startsWith('.google.protobuf.'));

test('the trimmed files hold both services', () => {
  const names = trimmed.map(({ fullName }) => fullName);
  assert.ok(names.includes('.envoy.service.auth.v3.Authorization'), names.join(' '));
  assert.ok(names.includes('.envoy.service.ext_proc.v3.ExternalProcessor'), names.join(' '));
});

for (const item of trimmed.filter(({ fullName }) => !fullName.startsWith('.grpc.'))) {
  test(`${item.fullName} says nothing that the official file does not say`, () => {
    const counterpart = official.lookup(item.fullName);
    assert.equal(counterpart?.fullName, item.fullName);
    const allowed = new Set(facts(counterpart));
    assert.deepEqual(
      facts(item).filter((fact) => !allowed.has(fact)),
      [],
    );
  });
}

test('the health service is the one of the gRPC health checking protocol', () => {
  const health = trimmed.filter(({ fullName }) => fullName.startsWith('.grpc.'));
  assert.deepEqual(Object.fromEntries(health.map((item) => [item.fullName, facts(item)])), {
    '.grpc.health.v1.HealthCheckRequest': ['service = 1 string oneof='],
    '.grpc.health.v1.HealthCheckResponse': ['status = 1 Enum .grpc.health.v1.HealthCheckResponse.ServingStatus oneof='],
    '.grpc.health.v1.HealthCheckResponse.ServingStatus': [
      'UNKNOWN = 0',
      'SERVING = 1',
      'NOT_SERVING = 2',
      'SERVICE_UNKNOWN = 3',
    ],
    '.grpc.health.v1.Health': [
      'Check(.grpc.health.v1.HealthCheckRequest) .grpc.health.v1.HealthCheckResponse',
      'Watch(.grpc.health.v1.HealthCheckRequest) stream .grpc.health.v1.HealthCheckResponse',
    ],
  });
});
