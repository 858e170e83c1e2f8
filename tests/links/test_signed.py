"""A link that a service renews with every export is known by what is left without its tokens."""

from __future__ import annotations

import pytest

from batch_editor.links.signed import unsigned
from batch_editor.records import EditRequest

FB = "stp=dst-jpg_s640&_nc_cat={n}&ccb=1-{n}&_nc_sid={t}&_nc_ohc={t}&oh=00_{t}&oe={t}&_nc_ht=scontent-{n}.fbcdn.net"
OSS4 = "x-oss-signature-version=OSS4&x-oss-date={t}&x-oss-expires={n}&x-oss-credential={t}&x-oss-signature={t}"
COS = "q-sign-algorithm=sha1&q-ak={t}&q-sign-time={n};9&q-key-time={n};9&q-header-list=host&q-signature={t}"

# {t} and {n} are renewed, {file} says which picture it is.
RENEWED = [
    "https://firebasestorage.googleapis.com/v0/b/shop.appspot.com/o/{file}?alt=media&token={t}",
    "https://shop.firebasestorage.app/v0/b/shop/o/{file}?token={t}&alt=media",
    "https://abc.supabase.co/storage/v1/object/sign/photos/{file}?token={t}",
    "https://abc.supabase.co/storage/v1/render/image/sign/photos/{file}?width=800&token={t}",
    "https://storage.acme.example/storage/v1/object/sign/photos/{file}?token={t}",
    "https://cdn.discordapp.com/attachments/1/2/{file}?ex={t}&is={t}&hm={t}&",
    "https://media.discordapp.net/attachments/1/2/{file}?ex={t}&is={t}&hm={t}&width=800",
    "https://www.dropbox.com/scl/fi/abc/{file}?rlkey={t}&st={t}&raw=1",
    "https://dl.dropboxusercontent.com/scl/fi/abc/{file}?rlkey={t}&st={t}",
    "https://scontent-fra{n}-1.xx.fbcdn.net/v/t39/{file}?" + FB,
    "https://scontent-lhr{n}-2.cdninstagram.com/v/t51.2885-15/{file}?" + FB,
    "https://instagram.fham{n}-1.fna.fbcdn.net/v/t51/{file}?" + FB,
    "https://v5.airtableusercontent.com/v3/u/{n}/{n}/179600000000{n}/iv{t}/{file}/sig{t}",
    "https://v5.airtableusercontent.com/v3/u/{n}/{n}/179600000000{n}/iv{t}/att1/{file}",
    "https://acme.sharepoint.com/_layouts/15/download.aspx?UniqueId={file}&tempauth=v1.{t}&ApiVersion=2.0",
    "https://acme-my.sharepoint.com/personal/a/_layouts/15/download.aspx?UniqueId={file}&tempauth={t}",
    "https://b.oss-cn-hangzhou.aliyuncs.com/{file}?OSSAccessKeyId={t}&Expires={n}&Signature={t}&security-token={t}",
    "https://img.acme.example/{file}?OSSAccessKeyId={t}&Expires={n}&Signature={t}",
    "https://b.oss-cn-hangzhou.aliyuncs.com/{file}?x-oss-process=image/resize,w_800&" + OSS4,
    "https://b-1.cos.ap-guangzhou.myqcloud.com/{file}?" + COS,
    "https://img.acme.example/{file}?" + COS + "&x-cos-security-token={t}",
    "https://f003.backblazeb2.com/file/photos/{file}?Authorization={t}",
    "https://file.notion.so/f/f/1/{file}?table=block&id=2&expirationTimestamp={n}&signature={t}",
    "https://img.acme.example/{file}?auth_key=170000000{n}-0-0-{t}",
    "https://img.acme.example/{file}?w=800&hdnts=exp={n}~hmac={t}",
    "https://media-fra{n}-1.cdn.whatsapp.net/v/t61/{file}?ccb=11-4&oh=01_{t}&oe={t}&_nc_sid={t}",
    "https://imagedelivery.net/acme/{file}/public?exp={n}&sig={t}",
    "https://image.mux.com/{file}/thumbnail.jpg?token={t}",
    "https://images-wixmp-1.wixmp.com/f/1/{file}?token={t}",
    "https://drive.usercontent.google.com/download?id={file}&export=download&confirm=t&uuid={t}&at={t}",
    "https://files.slack.com/files-pri/T1-F2/download/{file}?t=xoxe-{t}",
    "https://api.media.atlassian.com/file/{file}/binary?token={t}&client=1",
    "https://b.bj.bcebos.com/{file}?authorization=bce-auth-v1/{t}/{n}",
    "https://wx1.sinaimg.cn/large/{file}?Expires={n}&ssig={t}&KID=unistore",
    "https://private-user-images.githubusercontent.com/1/{file}?jwt={t}",
    "HTTPS://CDN.DiscordApp.com/attachments/1/2/{file}?EX={t}&IS={t}&HM={t}",
]


def request(link: str) -> EditRequest:
    return EditRequest("e", {"prompt": "white", "image_urls": ["https://shop.example.com/a.jpg", link], "mask": link})


@pytest.mark.parametrize("template", RENEWED)
def test_a_renewed_link_asks_for_the_same_and_another_file_for_another(template: str) -> None:
    monday = template.format(file="cup.jpg", t="a1B2", n=3)
    tuesday = template.format(file="cup.jpg", t="c3D4", n=4)
    assert unsigned(monday) == unsigned(tuesday)
    assert request(monday).fingerprint == request(tuesday).fingerprint
    assert request(template.format(file="pot.jpg", t="a1B2", n=3)).fingerprint != request(monday).fingerprint


@pytest.mark.parametrize(
    "link",
    [
        "https://shop.example.com/cup.jpg?token=11",  # a token of a host that nobody knows may name the picture
        "https://shop.example.com/cup.jpg?ex=1&is=2&hm=3",
        "https://notdiscordapp.com/cup.jpg?ex=1&is=2&hm=3",
        "https://discordapp.com.example.com/cup.jpg?ex=1",
        "https://cdn.discordapp.com/attachments/1/2/cup.jpg?width=800",
        "https://shop.example.com/?next=https://firebasestorage.googleapis.com/o/cup.jpg&token=1",
        "https://abc.supabase.co/storage/v1/object/public/photos/cup.jpg?token=1",
        "https://b.oss-cn-hangzhou.aliyuncs.com/cup.jpg?x-oss-process=image/resize,w_800",
        "https://example.com/v3/u/35/35/1796000000000/a/b/c",
        "https://v5.airtableusercontent.com/attachments/cup.jpg",
        "Show https://cdn.discordapp.com/a.jpg?ex=1 on white",
    ],
)
def test_what_may_say_which_picture_it_is_stays(link: str) -> None:
    assert unsigned(link) == link
