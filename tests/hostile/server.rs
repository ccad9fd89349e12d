//! Servers that mean harm: they read what they are asked, say their piece, and may never end it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What whoever connects is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speech {
    /// First.
    pub(crate) start: Vec<u8>,
    /// Then this, so many times.
    pub(crate) again: Vec<u8>,
    pub(crate) times: u64,
    /// Before each of them.
    pub(crate) pause: Duration,
    /// After all.
    pub(crate) end: Vec<u8>,
    /// Whether it is said before anything is asked.
    pub(crate) is_unasked: bool,
}

/// For ever.
pub(crate) const FOR_EVER: u64 = u64::MAX;

/// Runs as long as the test does; gives its address.
pub(crate) async fn serve(speech: Speech) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let speech = speech.clone();
            // Who hangs up has heard enough.
            tokio::spawn(async move { speak(stream, &speech).await.ok() });
        }
    });
    address
}

async fn speak(stream: TcpStream, speech: &Speech) -> std::io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    if !speech.is_unasked {
        let mut asked = vec![0; 16 << 10];
        let _ = read.read(&mut asked).await?;
    }
    // What else is asked is read and not answered: nobody waits for us to take it.
    tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
    write.write_all(&speech.start).await?;
    for _ in 0..speech.times {
        if !speech.pause.is_zero() {
            tokio::time::sleep(speech.pause).await;
        }
        write.write_all(&speech.again).await?;
    }
    write.write_all(&speech.end).await?;
    write.shutdown().await
}

/// An HTTP answer without a length: its end is that of the connection.
pub(crate) fn http(headers: &str, body: impl AsRef<[u8]>) -> Speech {
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}\r\n");
    Speech {
        start: [head.as_bytes(), body.as_ref()].concat(),
        ..Speech::default()
    }
}

/// Gzip that costs a thousandth of what it holds: so many times a mebibyte of spaces.
pub(crate) fn gzip_bomb(headers: &str, before: &[u8], mebibytes: u64) -> Speech {
    use flate2::{Compress, Compression, FlushCompress};
    let mut deflate = Compress::new(Compression::best(), false);
    let mut packed = |bytes: &[u8]| {
        let mut out = Vec::with_capacity(bytes.len() + 1024);
        deflate
            .compress_vec(bytes, &mut out, FlushCompress::Full)
            .unwrap();
        out
    };
    let before = packed(before);
    // After a full flush the same bytes mean the same, however often they come.
    let again = packed(&vec![b' '; 1 << 20]);
    let header = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";
    Speech {
        again,
        times: mebibytes,
        ..http(
            &format!("Content-Encoding: gzip\r\n{headers}"),
            [&header[..], &before].concat(),
        )
    }
}
