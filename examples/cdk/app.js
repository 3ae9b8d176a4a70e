// The stack of this project in an app of the AWS CDK: in a stack of your own, and nested in one.
// The packaged template comes of `make packaged-template`; docs/deployment.md says where its zips go.
const { App, NestedStack, Stack } = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");

const templateFile = process.env.TEMPLATE ?? "build/package/template.json";
const parameters = {
  ArtifactsBucketName: process.env.ARTIFACTS_BUCKET ?? "artifacts.example",
  StreamNamePrefix: process.env.STREAM_NAME_PREFIX ?? "connect-audio",
};

const app = new App();

// As it is: `cdk deploy ConnectAudio --parameters ArtifactsBucketName=... --parameters StreamNamePrefix=...`
const included = new CfnInclude(new Stack(app, "ConnectAudio"), "Template", { templateFile });
// Its resources may be changed and referred to.
included.getResource("FailedRecordings").addPropertyOverride("Tags", [{ Key: "team", Value: "contact-centre" }]);

// Nested: the parent gives the parameters.
const parent = new Stack(app, "ContactCentre");
const nested = new NestedStack(parent, "ConnectAudio", { parameters });
new CfnInclude(nested, "Template", { templateFile });

app.synth();
