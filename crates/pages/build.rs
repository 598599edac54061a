//! Takes Swagger UI and ReDoc out of the packages that carry them, and writes them compressed to
//! where `src/stored.rs` includes them from.

use std::{
    collections::hash_map::DefaultHasher,
    env,
    error::Error,
    fmt::Write as _,
    fs,
    hash::Hasher,
    io::{Cursor, Read, Write as _},
    path::PathBuf,
};

use flate2::{Compression, write::GzEncoder};
use zip::ZipArchive;

/// ReDoc shows a picture from its authors' server. Nothing may be fetched from elsewhere, so it
/// shows an empty one.
const LOGO: &str = "https://cdn.redoc.ly/redoc/logo-mini.svg";
const NO_LOGO: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E";

const TEXT: &str = "text/plain; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PAGE: &str = "text/html; charset=utf-8";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=web");
    let mut swagger =
        ZipArchive::new(Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED))?;
    let mut out = Out::new()?;

    let bundle = unzip(&mut swagger, "/dist/swagger-ui-bundle.js")?;
    out.asset("swagger-ui.js", SCRIPT, &bundle)?;
    let style = unzip(&mut swagger, "/dist/swagger-ui.css")?;
    out.asset("swagger-ui.css", STYLE, without_map(&style))?;
    out.asset("redoc.js", SCRIPT, &redoc()?)?;
    for (name, kind) in [
        ("swagger.js", SCRIPT),
        ("reference.js", SCRIPT),
        ("pages.css", STYLE),
    ] {
        out.asset(name, kind, &fs::read_to_string(format!("web/{name}"))?)?;
    }
    let notices = notices(&mut swagger)?;
    out.asset("licenses.txt", TEXT, &notices)?;

    out.page("SWAGGER_UI", &fs::read_to_string("web/swagger.html")?)?;
    out.page("REDOC", &fs::read_to_string("web/redoc.html")?)?;
    out.finish()
}

fn unzip(archive: &mut ZipArchive<Cursor<&[u8]>>, end: &str) -> Result<String, Box<dyn Error>> {
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        // One folder, named after the version, holds everything.
        let name = file.name()?;
        let inside = name.find('/').map_or("", |slash| &name[slash..]);
        if inside == end {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            return Ok(text);
        }
    }
    Err(format!("the package of Swagger UI holds no {end}").into())
}

/// The script of ReDoc, out of the page that its package makes around it.
fn redoc() -> Result<String, Box<dyn Error>> {
    let page = aide::redoc::Redoc::new("openapi.json").html();
    let start = page.find("<script>").ok_or("ReDoc's page has no script")?;
    let script = &page[start + "<script>".len()..];
    let end = script.rfind("Redoc.init(\"openapi.json\"");
    let script = script[..end.ok_or("ReDoc's page does not start it")?].trim();
    if script.matches(LOGO).count() != 1 {
        return Err("ReDoc's script does not have the picture where it was".into());
    }
    Ok(without_map(&script.replace(LOGO, NO_LOGO)).to_owned())
}

/// Without the last line's word of a file for debuggers that is not here.
fn without_map(text: &str) -> &str {
    let comments = ["/*# sourceMappingURL=", "//# sourceMappingURL="];
    let at = comments.iter().filter_map(|it| text.rfind(it)).max();
    text[..at.unwrap_or(text.len())].trim_end()
}

fn notices(swagger: &mut ZipArchive<Cursor<&[u8]>>) -> Result<String, Box<dyn Error>> {
    let (license, notice) = (unzip(swagger, "/LICENSE")?, unzip(swagger, "/NOTICE")?);
    let redoc = fs::read_to_string("web/redoc-license.txt")?;
    Ok(format!(
        "These pages use Swagger UI and ReDoc.\n\n\
         == Swagger UI ==\n\n{notice}\n\n{license}\n\n\
         == ReDoc ==\n\nThe picture of its authors is left out.\n\n{redoc}"
    ))
}

/// What is written, and the Rust that includes it.
struct Out {
    folder: PathBuf,
    /// As it is called in pages, and as it is served: with its version.
    assets: Vec<(String, String)>,
    list: String,
    pages: String,
}

impl Out {
    #[expect(
        clippy::disallowed_methods,
        reason = "how Cargo says where a build script writes"
    )]
    fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            folder: env::var_os("OUT_DIR").ok_or("no OUT_DIR")?.into(),
            assets: Vec::new(),
            list: String::new(),
            pages: String::new(),
        })
    }

    fn asset(&mut self, name: &str, kind: &str, text: &str) -> Result<(), Box<dyn Error>> {
        let version = self.write(name, text)?;
        let (stem, end) = name.rsplit_once('.').ok_or("a name without an end")?;
        let served = format!("{stem}.{version}.{end}");
        let stored = stored(name, kind, &version, text, "Keep::Forever");
        writeln!(self.list, "    ({served:?}, {stored}),")?;
        self.assets.push((name.to_owned(), served));
        Ok(())
    }

    /// A page, whose template names assets as `{{name}}`.
    fn page(&mut self, name: &str, template: &str) -> Result<(), Box<dyn Error>> {
        let mut text = template.to_owned();
        for (asset, served) in &self.assets {
            text = text.replace(&format!("{{{{{asset}}}}}"), served);
        }
        if text.contains("{{") {
            return Err(format!("{name} names an asset that there is not").into());
        }
        let version = self.write(name, &text)?;
        let stored = stored(
            name,
            PAGE,
            &version,
            &text,
            &format!("Keep::Page({name}_POLICY)"),
        );
        writeln!(self.pages, "static {name}: Stored = {stored};")?;
        Ok(())
    }

    /// Writes `text` compressed, and gives it a version by its content.
    fn write(&self, name: &str, text: &str) -> Result<String, Box<dyn Error>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes())?;
        fs::write(self.folder.join(format!("{name}.gz")), encoder.finish()?)?;
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        Ok(format!("{:016x}", hasher.finish()))
    }

    fn finish(self) -> Result<(), Box<dyn Error>> {
        let Self { list, pages, .. } = &self;
        let count = self.assets.len();
        let text = format!("{pages}static ASSETS: [(&str, Stored); {count}] = [\n{list}];\n");
        Ok(fs::write(self.folder.join("stored.rs"), text)?)
    }
}

fn stored(name: &str, kind: &str, version: &str, text: &str, keep: &str) -> String {
    let (length, tag) = (text.len(), format!("W/\"{version}\""));
    format!(
        "Stored::included(include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.gz\")), \
         {length}, {kind:?}, {tag:?}, {keep})"
    )
}
