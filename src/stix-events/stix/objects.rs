//! Names for what standard CybOX objects hold.
//!
//! A field is named by a table; whatever no table names has its element path as its name. The
//! names are a contract: see `docs/events.md`.

/// Element paths under Properties (attributes behind an `@`), and their names.
type Names = &'static [(&'static str, &'static str)];

const FILE: Names = &[
    ("File_Name", "fileName"),
    ("File_Path", "filePath"),
    ("Full_Path", "fileFullPath"),
    ("Device_Path", "fileDevicePath"),
    ("File_Extension", "fileExtension"),
    ("File_Format", "fileFormat"),
    ("Size_In_Bytes", "fileSize"),
    ("Created_Time", "fileCreated"),
    ("Modified_Time", "fileModified"),
    ("Accessed_Time", "fileAccessed"),
];
const USER_ACCOUNT: Names = &[
    ("Username", "username"),
    ("Domain", "userDomain"),
    ("Full_Name", "userFullName"),
    ("Home_Directory", "userHomeDirectory"),
    ("Last_Login", "userLastLogin"),
    ("Script_Path", "userScriptPath"),
    ("Security_ID", "userSecurityId"),
];
const MUTEX: Names = &[("Name", "mutexName")];
const REGISTRY_KEY: Names = &[
    ("Hive", "registryHive"),
    ("Key", "registryKey"),
    ("Values.Value.Name", "registryValueName"),
    ("Values.Value.Data", "registryValueData"),
    ("Values.Value.Datatype", "registryValueType"),
];
const HTTP_SESSION: Names = &[
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Line.HTTP_Method",
        "httpMethod",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Line.Value",
        "httpUri",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Line.Version",
        "httpVersion",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Header.Parsed_Header.Host.Domain_Name.Value",
        "httpHost",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Header.Parsed_Header.Host.Port.Port_Value",
        "httpPort",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Header.Parsed_Header.User_Agent",
        "httpUserAgent",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Header.Parsed_Header.Referer.Value",
        "httpReferer",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Header.Parsed_Header.Cookie",
        "httpCookie",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Header.Parsed_Header.Content_Type",
        "httpContentType",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Request_Header.Raw_Header",
        "httpRawHeader",
    ),
    (
        "HTTP_Request_Response.HTTP_Client_Request.HTTP_Message_Body.Message_Body",
        "httpBody",
    ),
    (
        "HTTP_Request_Response.HTTP_Server_Response.HTTP_Status_Line.Status_Code",
        "httpStatus",
    ),
    (
        "HTTP_Request_Response.HTTP_Server_Response.HTTP_Status_Line.Reason_Phrase",
        "httpReason",
    ),
    (
        "HTTP_Request_Response.HTTP_Server_Response.HTTP_Response_Header.Parsed_Header.Server",
        "httpServer",
    ),
];
const DNS_QUERY: Names = &[
    ("Question.QName.Value", "dnsQuestionName"),
    ("Question.QType", "dnsQuestionType"),
    ("Question.QClass", "dnsQuestionClass"),
    ("Transaction_ID", "dnsTransactionId"),
    ("@successful", "dnsSuccessful"),
    (
        "Answer_Resource_Records.Resource_Record.Domain_Name.Value",
        "dnsAnswerName",
    ),
    (
        "Answer_Resource_Records.Resource_Record.IP_Address.Address_Value",
        "dnsAnswerAddress",
    ),
    (
        "Answer_Resource_Records.Resource_Record.Entry_Type",
        "dnsAnswerType",
    ),
    (
        "Answer_Resource_Records.Resource_Record.TTL",
        "dnsAnswerTtl",
    ),
];
const NETWORK_CONNECTION: Names = &[
    (
        "Source_Socket_Address.IP_Address.Address_Value",
        "sourceAddress",
    ),
    ("Source_Socket_Address.Port.Port_Value", "sourcePort"),
    (
        "Source_Socket_Address.Hostname.Hostname_Value",
        "sourceHostname",
    ),
    (
        "Destination_Socket_Address.IP_Address.Address_Value",
        "destinationAddress",
    ),
    (
        "Destination_Socket_Address.Port.Port_Value",
        "destinationPort",
    ),
    (
        "Destination_Socket_Address.Hostname.Hostname_Value",
        "destinationHostname",
    ),
    ("Layer3_Protocol", "layer3Protocol"),
    ("Layer4_Protocol", "layer4Protocol"),
    ("Layer7_Protocol", "layer7Protocol"),
];
const EMAIL_MESSAGE: Names = &[
    ("Header.From.Address_Value", "emailFrom"),
    ("Header.To.Recipient.Address_Value", "emailTo"),
    ("Header.CC.Recipient.Address_Value", "emailCc"),
    ("Header.BCC.Recipient.Address_Value", "emailBcc"),
    ("Header.Sender.Address_Value", "emailSender"),
    ("Header.Reply_To.Address_Value", "emailReplyTo"),
    ("Header.Subject", "emailSubject"),
    ("Header.Date", "emailDate"),
    ("Header.Message_ID", "emailMessageId"),
    ("Header.X_Mailer", "emailXMailer"),
    (
        "Header.X_Originating_IP.Address_Value",
        "emailXOriginatingIp",
    ),
    ("Raw_Body", "emailBody"),
    ("Raw_Header", "emailRawHeader"),
    ("Email_Server", "emailServer"),
    ("Attachments.File.@object_reference", "emailAttachment"),
    ("Links.Link.@object_reference", "emailLink"),
];

/// The tables by the local name of `xsi:type` without `ObjectType`.
const TABLES: &[(&[&str], Names)] = &[
    (
        &["Address"],
        &[
            ("Address_Value", "address"),
            ("@category", "addressCategory"),
        ],
    ),
    (&["DomainName"], &[("Value", "domain")]),
    (&["Hostname"], &[("Hostname_Value", "hostname")]),
    (&["URI"], &[("Value", "uri"), ("@type", "uriType")]),
    (
        &["Link"],
        &[
            ("Value", "uri"),
            ("@type", "uriType"),
            ("URL_Label", "urlLabel"),
        ],
    ),
    (
        &["Port"],
        &[
            ("Port_Value", "port"),
            ("Layer4_Protocol", "layer4Protocol"),
        ],
    ),
    (
        &["SocketAddress"],
        &[
            ("IP_Address.Address_Value", "address"),
            ("IP_Address.@category", "addressCategory"),
            ("Port.Port_Value", "port"),
            ("Port.Layer4_Protocol", "layer4Protocol"),
            ("Hostname.Hostname_Value", "hostname"),
        ],
    ),
    (
        &[
            "File",
            "ArchiveFile",
            "ImageFile",
            "PDFFile",
            "UnixFile",
            "WindowsFile",
            "WindowsExecutableFile",
        ],
        FILE,
    ),
    (&["EmailMessage"], EMAIL_MESSAGE),
    (&["HTTPSession"], HTTP_SESSION),
    (&["NetworkConnection"], NETWORK_CONNECTION),
    (&["Mutex", "WindowsMutex"], MUTEX),
    (&["WindowsRegistryKey", "WinRegistryKey"], REGISTRY_KEY),
    (
        &["UserAccount", "UnixUserAccount", "WindowsUserAccount"],
        USER_ACCOUNT,
    ),
    (&["DNSQuery"], DNS_QUERY),
];

/// What a connection carries is named as if it stood alone.
const CARRIED: [(&str, Names); 2] = [
    ("Layer7_Connections.HTTP_Session.", HTTP_SESSION),
    ("Layer7_Connections.DNS_Query.", DNS_QUERY),
];

/// The name of the field at an element path of such an object.
pub(super) fn field<'a>(object_type: &str, path: &'a str) -> &'a str {
    for (start, names) in CARRIED {
        if let Some(inner) = path.strip_prefix(start) {
            return find(names, inner).unwrap_or(path);
        }
    }
    let table = TABLES
        .iter()
        .find(|(types, _)| types.contains(&object_type));
    table
        .and_then(|(_, names)| find(names, path))
        .unwrap_or(path)
}

/// `Address` of `AddressObj:AddressObjectType`.
pub(super) fn object_type(xsi_type: &str) -> &str {
    let local = xsi_type
        .rsplit_once(':')
        .map_or(xsi_type, |(_, local)| local)
        .trim();
    local.strip_suffix("ObjectType").unwrap_or(local)
}

/// The name of a hash: by its type, else by the length of its value.
pub(super) fn hash(hash_type: &str, value: &str) -> Option<&'static str> {
    let letters: String = hash_type
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let by_type = [
        "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ssdeep",
    ]
    .into_iter()
    .find(|name| *name == letters);
    if by_type.is_some() || !letters.is_empty() {
        return by_type;
    }
    let value = value.trim();
    if !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match value.len() {
        32 => Some("md5"),
        40 => Some("sha1"),
        56 => Some("sha224"),
        64 => Some("sha256"),
        96 => Some("sha384"),
        128 => Some("sha512"),
        _ => None,
    }
}

fn find(names: Names, path: &str) -> Option<&'static str> {
    let found = names.iter().find(|(known, _)| *known == path);
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_names() {
        assert_eq!(object_type("AddressObj:AddressObjectType"), "Address");
        assert_eq!(object_type("Own:Odd"), "Odd");
        assert_eq!(object_type(""), "");
        assert_eq!(field("Address", "Address_Value"), "address");
        assert_eq!(field("Hostname", "Address_Value"), "Address_Value");
        assert_eq!(
            field(
                "NetworkConnection",
                "Layer7_Connections.DNS_Query.Question.QType"
            ),
            "dnsQuestionType"
        );
    }

    #[test]
    fn hashes_by_type_else_by_length() {
        let hex = |length| "0aF".repeat(50).get(..length).map(str::to_owned).unwrap();
        assert_eq!(hash("MD5", "x"), Some("md5"));
        assert_eq!(hash("SHA-256", &hex(32)), Some("sha256"));
        assert_eq!(hash("Other", &hex(32)), None);
        assert_eq!(hash("", &format!(" {}\n", hex(40))), Some("sha1"));
        assert_eq!(hash("", &hex(33)), None);
        assert_eq!(hash("", &"g".repeat(32)), None);
    }

    /// Each name stands in the documentation, and no table names a path twice.
    #[test]
    fn the_documentation_names_them_all() {
        let page = include_str!("../../../docs/events.md");
        for (types, names) in TABLES {
            for name in *types {
                assert!(page.contains(&format!("`{name}`")), "{name}");
            }
            let mut paths: Vec<_> = names.iter().map(|(path, _)| path).collect();
            paths.sort_unstable();
            paths.dedup();
            assert_eq!(paths.len(), names.len());
            for (_, name) in *names {
                assert!(page.contains(&format!("`{name}`")), "{name}");
            }
        }
    }
}
